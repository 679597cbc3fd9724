"""Processes that measure in turn: what needs another Keras backend needs a process of its own."""

import os
import subprocess
import sys
import time


def timed(run):
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def serve(run):
    """In the worker: calls once, to compile, then once for each line of input; prints seconds."""
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(timed(run), flush=True)


class Worker:
    """A benchmark module in a process of its own, which ends in `serve`.

    Args:
        module: str, as `python -m` takes it.
        arguments: list of str.
        backend: name of the Keras backend.

    Raises:
        RuntimeError: when the process ends before it is ready; its error is on the screen.
    """

    def __init__(self, module, arguments, backend):
        # Several processes share a GPU: none may take all of its memory at once.
        settings = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise RuntimeError(f"{module} {' '.join(arguments)} did not start; see its error above.")

    def seconds(self):
        """Seconds of one pass in the worker."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
