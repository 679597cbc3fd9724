"""Where are we: versions, backend, device, the precision that suits it, and the output folder."""

import importlib
import logging
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from utils.location import clean_location

# Environment variables that TensorFlow reads while it is imported, with the value that computes
# fastest on a CPU (measured: benchmarks/README.md). A value that is set already stays.
TENSORFLOW_SETTINGS = {
    # Keeps the memory of a step for the next one instead of fetching it from the system again.
    "TF_CPU_ALLOCATOR_USE_BFC": "true",
    # oneDNN's kernels, which TensorFlow turns on by itself only where they find AVX-512 VNNI,
    # bfloat16 or AMX; its builds for other processors than x86-64 do not have all of them.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
X86_64 = ("x86_64", "AMD64")  # as Linux and macOS, and as Windows call it


@dataclass(frozen=True)
class Runtime:
    """What produces a result, as printed beside it and stored in its record.

    Attributes:
        python, keras, backend_version: version strings.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        device: human name of the device, for example `"GPU (Tesla T4)"`.
        on_gpu: whether the backend computes on an accelerator.
        precision: Keras dtype policy chosen for the device.
        in_colab: whether this is Google Colab.
        settings: dict, the environment variables of `TENSORFLOW_SETTINGS` that the backend has
            read; empty for other backends.
    """

    python: str
    keras: str
    backend: str
    backend_version: str
    device: str
    on_gpu: bool
    precision: str
    in_colab: bool
    settings: dict

    def versions(self):
        """Versions by package, as stored in a run record."""
        return {"python": self.python, "keras": self.keras, self.backend: self.backend_version}

    def __str__(self):
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return (
            f"Python {self.python}, Keras {self.keras} on {self.backend} {self.backend_version}, "
            f"{self.device}, {self.precision}{settings}"
        )


def prepare_backend(environ=None, machine=None):
    """Sets what the backend reads while it is imported; `utils` calls it when it is imported.

    Args:
        environ: mapping, by default `os.environ`. Variables that are set already stay as they are.
        machine: str, the processor's architecture, by default this one's.
    """
    environ = os.environ if environ is None else environ
    for name, value in TENSORFLOW_SETTINGS.items():
        if name != "TF_ENABLE_ONEDNN_OPTS" or (machine or platform.machine()) in X86_64:
            environ.setdefault(name, value)
    environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors that stop a program still show


def quiet_backend():
    """Imports the backend without TensorFlow's hints on retracing; errors still show.

    The logger is set up by the import, in a notebook to tell everything.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def describe_runtime():
    """Asks Keras and its backend what this process runs on.

    Returns:
        `Runtime`.
    """
    import keras  # here, because importing Keras loads the whole backend

    backend = keras.backend.backend()
    accelerator, capability = _accelerator(backend)
    cpu, flags = _cpu_info()
    return Runtime(
        python=platform.python_version(),
        keras=keras.__version__,
        backend=backend,
        backend_version=importlib.import_module(backend).__version__,
        device=accelerator or f"CPU ({cpu}, {cores()} cores)",
        on_gpu=accelerator is not None,
        precision=choose_precision(backend, capability, flags),
        in_colab="google.colab" in sys.modules,
        settings={
            name: os.environ[name]
            for name in TENSORFLOW_SETTINGS
            if backend == "tensorflow" and name in os.environ
        },
    )


def choose_precision(backend, compute_capability=None, cpu_flags=""):
    """Chooses the Keras dtype policy that a device computes fastest without losing accuracy.

    Args:
        backend: Keras backend name.
        compute_capability: (major, minor) of an NVIDIA GPU, (99, 0) for another accelerator
            that has bfloat16 (TPU), None for a CPU.
        cpu_flags: str, the CPU's feature flags, for example the line of /proc/cpuinfo.

    Returns:
        `"mixed_bfloat16"` on GPUs since Ampere (8.0), on TPUs, and with TensorFlow on CPUs that
        multiply bfloat16 in hardware; `"mixed_float16"`, which needs loss scaling, on Volta and
        Turing (7.x, Colab's T4); else `"float32"`.
    """
    if compute_capability is not None:
        if compute_capability[0] >= 8:
            return "mixed_bfloat16"
        return "mixed_float16" if compute_capability[0] == 7 else "float32"
    # Of the CPU kernels, only TensorFlow's (oneDNN) use these instructions.
    has_bfloat16 = {"avx512_bf16", "amx_bf16"} & set(cpu_flags.split())
    return "mixed_bfloat16" if backend == "tensorflow" and has_bfloat16 else "float32"


def cores():
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def output_dir(environ=None):
    """The folder for results: `ASSIGNMENT_OUTPUT`, by default `build/` in the current folder.

    Returns:
        `pathlib.Path` of the folder, created when missing.
    """
    environ = os.environ if environ is None else environ
    folder = Path(clean_location(environ.get("ASSIGNMENT_OUTPUT") or "") or "build")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def git_commit():
    """Commit of the checkout, with `-dirty` when files differ from it; "unknown" without either.

    A ZIP file of the repository has no history. There git (`export-subst` in .gitattributes) has
    written the commit into `.git_archival.txt`, which comes first: the folder may lie in another
    repository.
    """
    root = Path(__file__).resolve().parent.parent
    archived = root / ".git_archival.txt"
    if archived.is_file():
        found = re.fullmatch(r"node: ([0-9a-f]{40,64})\s*", archived.read_text(errors="replace"))
        if found:
            return found[1]
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def _accelerator(backend):
    """(kind and name, compute capability) of the backend's first accelerator, or (None, None)."""
    if backend == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(gpu)
            name = details.get("device_name", "name unknown")
            return f"GPU ({name})", details.get("compute_capability", (0, 0))
    elif backend == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform != "cpu":
            kind = "TPU" if device.platform == "tpu" else "GPU"
            capability = str(getattr(device, "compute_capability", "99.0" if kind == "TPU" else ""))
            numbers = re.fullmatch(r"(\d+)\.(\d+)", capability)  # AMD has names: "gfx942"
            capability = tuple(map(int, numbers.groups())) if numbers else (0, 0)
            return f"{kind} ({device.device_kind})", capability
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            return f"GPU ({torch.cuda.get_device_name()})", torch.cuda.get_device_capability()
    return None, None


def _cpu_info():
    """(name, feature flags) of the CPU; Linux tells both in /proc/cpuinfo."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return name, flags
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() == "flags":
            flags = value.strip()
            break
    return name, flags
