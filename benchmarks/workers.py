"""Processes that measure in turn: what needs another Keras backend needs a process of its own."""

import json
import os
import subprocess
import sys
import time

from utils.runtime import describe_runtime


def timed(run):
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(measures, repeat):
    """Measures again and again in turn, so that a slow minute hits all alike.

    Args:
        measures: dict of name to a function that returns seconds.
        repeat: int >= 1, how often each is called.

    Returns:
        Dict of name to a list of seconds.
    """
    seconds = {name: [] for name in measures}
    for _ in range(repeat):
        for name, measure in measures.items():
            seconds[name].append(measure())
    return seconds


def serve(run, precision):
    """In the worker: calls once, to compile, and says so; then once for each line of input.

    Args:
        run: function without arguments.
        precision: str, what it computes in, to be kept with its times.
    """
    run()
    runtime = describe_runtime()
    facts = {"device": runtime.device, "versions": runtime.versions(), "precision": precision}
    print(f"ready {json.dumps(facts)}", flush=True)
    for _ in sys.stdin:
        print(timed(run), flush=True)


class Worker:
    """A benchmark module in a process of its own, which ends in `serve`.

    Attributes:
        facts: dict, `device`, `versions` and `precision` of the process.

    Args:
        module: str, as `python -m` takes it.
        arguments: list of str.
        backend: name of the Keras backend.

    Raises:
        RuntimeError: when the process ends before it is ready; its error is on the screen.
    """

    def __init__(self, module, arguments, backend):
        self.name = f"{module} {' '.join(arguments)}"
        # Several processes share a GPU: none may take all of its memory at once.
        settings = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        settings["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            word, _, facts = line.partition(" ")
            if word == "ready":
                self.facts = json.loads(facts)
                return
        raise RuntimeError(f"{self.name} did not start; see its error above.")

    def seconds(self):
        """Seconds of one pass in the worker.

        Raises:
            RuntimeError: when the process has ended.
        """
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} has ended; see its error above.")
        return float(answer)

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
