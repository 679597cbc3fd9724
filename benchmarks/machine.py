"""What the machine is, asked in a process of its own: the one that asks loads no backend."""

from benchmarks.workers import tell
from utils.runtime import describe_runtime


def describe(clock):
    """Answers with device and precision; no pass is timed."""
    runtime = describe_runtime()
    tell(
        {
            "device": runtime.device,
            "on_gpu": runtime.on_gpu,
            "precision": runtime.precision,
        }
    )
