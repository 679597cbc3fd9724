"""Processes that measure in turn: each variant has memory and settings of its own.

`Worker` is the side that asks; `python -m benchmarks.workers` is the side that computes. There a
maker, a function of one of the modules beside this one, builds what is to be timed and hands its
passes to a `Clock`.
"""

import contextlib
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.processors import Others
from utils.runtime import describe_runtime, quiet_backend

RESULT = "benchmark: "  # begins the lines that are meant for the other side
STEADY, MOST_WARM_UPS = 0.95, 8  # a pass that takes more than this part of the last one is steady


class Clock:
    """In the worker: times passes, each after the other side has asked for it.

    The first pass compiles and is not waited for.

    Args:
        started: what `time.perf_counter()` said when the process began.
        imported: ... and when it had imported its backend.
    """

    def __init__(self, started, imported):
        self.started, self.imported, self.facts = started, imported, None

    def describe(self, images, precision, packages=()):
        """Notes, before the first pass, what a pass is.

        Args:
            images: int, how many a pass has.
            precision: str, what it computes in.
            packages: names, as on PyPI, of what is measured beside Keras and its backend.
        """
        self.images, self.precision = images, precision
        self.versions = {name: importlib.metadata.version(name) for name in packages}

    def begin(self):
        """Waits until a pass is asked for; ends the process when no more will be."""
        if self.facts is not None and not sys.stdin.readline():
            raise SystemExit
        self.others, self.start = Others(), time.perf_counter()

    def end(self, seconds=None):
        """Answers with the seconds of the pass; at the end of the first one, with the facts.

        Args:
            seconds: float, if something else than all since `begin` counts.
        """
        now = time.perf_counter()
        answer = {"seconds": seconds or now - self.start, "peak_mb": peak_memory()}
        answer["others"] = self.others.share()
        if self.facts is None:
            runtime = describe_runtime()
            self.facts = answer = {
                "images": self.images,
                "precision": self.precision,
                "device": runtime.device,
                "versions": runtime.versions() | self.versions,
                "settings": runtime.settings,
                "import_seconds": self.imported - self.started,
                "first_pass_seconds": now - self.imported,
            }
        tell(answer)

    def repeat(self, run):
        """Calls a function without arguments for each pass."""
        while True:
            self.begin()
            run()
            self.end()


def tell(answer):
    """Hands plain values to the other side."""
    print(RESULT + json.dumps(answer), flush=True)


def peak_memory():
    """The most memory that this process ever had, in MB; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


class Worker:
    """A maker in a process of its own.

    Attributes:
        facts: dict, the first answer of the process.

    Args:
        maker: str, `"module.function"` of this package, called with a `Clock` and the options.
        options: dict of plain values.
        backend: name of the Keras backend.
        environment: dict of variables to set; None leaves a variable to the backend, unset.

    Raises:
        RuntimeError: with the error of the process, when it ends before its first answer.
    """

    def __init__(self, maker, options, backend="tensorflow", environment=None):
        self.name = f"{maker} {json.dumps(options)}"
        # Several processes share a GPU: none may take all of its memory at once.
        settings = {"KERAS_BACKEND": backend, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        settings |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} | (environment or {})
        unset = [name for name, value in settings.items() if value is None]
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.workers", maker, json.dumps(options), *unset],
            env=os.environ | {name: value for name, value in settings.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.facts = self._answer()

    def run(self):
        """Asks for one pass.

        Returns:
            Dict, `seconds` of the pass, `peak_mb` of the process and `others`, what part of the
            processors other processes took; None where nobody counts.

        Raises:
            RuntimeError: with the error of the process, when it has ended.
        """
        with contextlib.suppress(BrokenPipeError):  # has ended: there is no answer either
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith(RESULT):
                return json.loads(line.removeprefix(RESULT))
        self.errors.seek(0)
        error = "\n".join(self.errors.read().splitlines()[-15:])
        raise RuntimeError(f"{self.name} has ended without an answer. Its last words:\n{error}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):  # has ended by itself
            self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def warm_up(worker):
    """Asks for passes, which are not kept, until one is hardly faster than the one before.

    Memory that a backend fetches bit by bit makes the first passes slow, not only the very first.
    """
    before = worker.run()["seconds"]
    for _ in range(MOST_WARM_UPS - 1):
        now = worker.run()["seconds"]
        if now > STEADY * before:
            return
        before = now


def in_turn(workers, passes):
    """Asks for passes again and again in turn, so that a slow minute hits all alike.

    Args:
        workers: list of `Worker`.
        passes: int >= 1, how often each is asked.

    Returns:
        A list of answers for each worker.
    """
    turns = [[worker.run() for worker in workers] for _ in range(passes)]
    return [list(answers) for answers in zip(*turns)]


def main(arguments):
    """Serves one maker: its name, its options as JSON, names of variables to leave unset."""
    started = time.perf_counter()
    maker, options, *unset = arguments
    for name in unset:  # set when `utils` was imported
        os.environ.pop(name, None)
    quiet_backend()
    imported = time.perf_counter()
    module, function = maker.rsplit(".", 1)
    function = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    function(Clock(started, imported), **json.loads(options))


if __name__ == "__main__":
    main(sys.argv[1:])
