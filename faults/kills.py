"""A training is killed at random moments and started again: is the result the same to the last bit?

SIGKILL leaves a process no time to clean up: what it does to files is what a crash of the machine,
a lost Colab session or the kernel's out-of-memory killer does. A run is killed and started again
until it gets to its end, then the next run begins, until there were enough kills. A kill is
survived when the run that it struck ends like an undisturbed one: history, weights, optimizer.
"""

import csv
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from faults import workload
from faults.result import Result


class Configuration(NamedTuple):
    """A training to kill.

    Attributes:
        backend, precision: of Keras.
        share: of the kills that float32 gets.
        train, test: images of each class.
        batch_size, epochs: of the training.
        variables: names and values of further environment variables.
    """

    backend: str
    precision: str
    share: float = 1.0
    train: int = 26
    test: int = 4
    batch_size: int = 32
    epochs: int = 6
    variables: tuple = ()


# In bfloat16 on several threads, TensorFlow's kernels for the CPU (oneDNN) add up in an order that
# differs from run to run: of six undisturbed runs two differed in the last bits, with
# TF_DETERMINISTIC_OPS, too; on one thread four of four were equal.
ONE_THREAD = (("TF_NUM_INTRAOP_THREADS", "1"),)
# float16 has loss scaling, whose state must go on, too. TensorFlow has no kernel for it that would
# be fast on a CPU: half a second an image.
CONFIGURATIONS = (
    Configuration("tensorflow", "float32"),
    Configuration("jax", "float32"),
    Configuration("tensorflow", "mixed_bfloat16", variables=ONE_THREAD),
    Configuration("jax", "mixed_float16", share=0.5),
    Configuration("tensorflow", "mixed_float16", 0.25, train=2, test=1, batch_size=8, epochs=3),
)
# On a processor that multiplies bfloat16 the notebook trains in it.
NOTEBOOK = {"ASSIGNMENT_PROFILE": "smoke", "ASSIGNMENT_DATA": "shapes", **dict(ONE_THREAD)}
POLL = 0.0005  # seconds; a checkpoint of this network takes some 20 ms to write


def outcome(folder):
    """What a finished run leaves behind that must not depend on its interruptions.

    Returns:
        Dict: the history without the seconds; the content of the last two checkpoints (weights and
        optimizer) and of the shipped weights; what the record says of the result.
    """
    with (folder / "history.csv").open() as file:
        history = [{**row, "seconds": None} for row in csv.DictReader(file)]
    files = [*sorted(folder.glob("checkpoint-*")), folder / "weights.npz"]
    record = json.loads((folder / "run.json").read_text())
    return {
        "history": history,
        "record": {key: record[key] for key in ("recipe", "final", "weights")},
        "names": sorted(path.name for path in folder.iterdir()),  # nothing is left over
    } | {path.name: path.read_bytes() for path in files}


def difference(expected, found):
    """Names what differs between two outcomes, `""` for nothing."""
    keys = sorted(expected.keys() | found.keys())
    return ", ".join(key for key in keys if expected.get(key) != found.get(key))


def is_writing(folder):
    """Whether a file of the run is being written at this moment."""
    return folder.is_dir() and any(folder.glob(".partial.*"))


def killed(command, log, backend, folder, rng, seconds, **variables):
    """Starts a training and kills it at a random moment, unless it is done before.

    Half of the moments lie anywhere in the steps, a part in the start-up, the others while a file
    is being written.

    Args:
        command, log, backend, variables: as for `workload.run`.
        folder: `Path` of the run.
        rng: `numpy.random.Generator`.
        seconds: how long the training of an undisturbed run takes after its first step.

    Returns:
        `"done"`, `"killed"`, or `"killed while writing"`, by what the kill left in the folder.
    """
    kind = rng.choice(["steps", "start", "writing"], p=[0.5, 0.1, 0.4])
    delay, writes = rng.uniform(0, 0.7 * seconds), int(rng.integers(1, 10))
    starts = folder / "starts.json"
    before = starts.stat().st_mtime_ns if starts.exists() else None
    begin, trained_since, was_writing = time.monotonic(), None, False
    with log.open("a") as file:
        process = workload.start(command, file, backend, **variables)
        while process.poll() is None:
            now = time.monotonic()
            if now - begin > workload.LIMIT:
                workload.kill(process)
                raise RuntimeError(f"no end within {workload.LIMIT} s")
            if kind == "writing":
                writing = is_writing(folder)
                writes -= writing and not was_writing
                was_writing = writing
                if writing and writes <= 0:
                    break
            elif kind == "start" and now - begin > delay:
                break
            elif trained_since is None and starts.exists():
                changed = starts.stat().st_mtime_ns != before
                trained_since = now if changed else None  # its first step is done
            elif kind == "steps" and trained_since is not None and now - trained_since > delay:
                break
            time.sleep(POLL)
        else:
            if process.returncode != 0:
                lines = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise RuntimeError(" | ".join(lines))
            return "done"
        workload.kill(process)
    return "killed while writing" if is_writing(folder) else "killed"


def kill_training(configuration, kills, scratch, report=print):
    """Kills trainings `kills` times in all, and compares each that came to its end.

    Args:
        configuration: `Configuration`.
        kills: int >= 1, for a configuration with a share of 1.
        scratch: `Path` of an existing folder.
        report: function that takes a line.

    Returns:
        `Result`; a kill is survived when the run that it struck ends like an undisturbed one.
    """
    backend, precision, share, train, test, batch_size, epochs, variables = configuration
    variables = dict(variables)
    kills = max(1, round(share * kills))
    result = Result("kills", f"SIGKILL in a training, started again: {backend}, {precision}")
    if not importlib.util.find_spec(backend):
        return result.done(f"not tried: {backend} is not installed")
    rng, scratch = np.random.default_rng(0), scratch / f"{backend}-{precision}"
    scratch.mkdir()
    images, log = workload.write_images(scratch / "images", train, test), scratch / "log"
    settings = {"precision": precision, "batch_size": batch_size, "epochs": epochs}
    straight, runs, writing = scratch / "straight", 0, 0
    try:
        command = workload.training_command(images, straight, **settings)
        workload.run(command, log, backend, **variables)
        expected = outcome(straight)
    except (RuntimeError, OSError) as error:
        result.add(f"the undisturbed run failed: {error}")
        return result.done()
    with (straight / "history.csv").open() as file:
        seconds = sum(float(row["seconds"]) for row in list(csv.DictReader(file))[1:])
    while result.tries < kills:
        runs, struck, what = runs + 1, 0, ""
        folder = scratch / str(runs)
        command = workload.training_command(images, folder, **settings)
        failure = ""
        try:
            while what != "done" and result.tries + struck < kills:
                what = killed(command, log, backend, folder, rng, seconds, **variables)
                struck += what != "done"
                writing += what == "killed while writing"
            if what != "done":
                workload.run(command, log, backend, **variables)
            different = difference(expected, outcome(folder))
            failure = different and f"run {runs} differs in {different}"
        except (RuntimeError, OSError, ValueError) as error:
            failure = f"run {runs}, after {struck} kills: {error}"
            struck = max(struck, 1)
        result.add(failure, struck)
        report(f"  {backend}, {precision}: {result.tries} of {kills} kills")
    note = f"{runs} runs; {writing} kills while a file was being written"
    return result.done(note + ("; on one thread" if variables else ""))


def kill_notebook(tries, scratch, report=print):
    """The same through the notebook: its kernel is killed in the training cell, then *Run all*."""
    result = Result("kills", "kernel killed in the notebook's training cell, then Run all")
    if not Path("/proc/self/task").is_dir():
        return result.done("not tried: the kernel's process is found in Linux's /proc")
    log, expected = scratch / "notebook.log", None
    for number in range(tries + 1):  # the first is the undisturbed one
        output = scratch / f"notebook-{number}"
        command = [sys.executable, "-m", "utils.commands.execute", "Assignment4B.ipynb"]
        command += ["--output", str(output)]
        try:
            if number:
                _kill_kernel(command, log, output)
            workload.run(command, log, **NOTEBOOK)
            [record] = output.glob("*/run.json")
            found = outcome(record.parent)
            expected = expected or found
            different = difference(expected, found)
            failure = different and f"try {number} differs in {different}"
        except (RuntimeError, OSError, ValueError) as error:
            failure = f"try {number}: {error}"
        if number or failure:
            result.add(failure)
            report(f"  notebook: {result.tries} of {tries} kills")
        if expected is None:  # nothing to compare with
            break
    return result.done()


def _kill_kernel(command, log, output):
    """Executes the notebook and kills its kernel once the first epoch is done."""
    end = time.monotonic() + workload.LIMIT
    with log.open("a") as file:
        process = workload.start(command, file, **NOTEBOOK)
        while not any(output.glob("*/history.csv")):
            if process.poll() is not None or time.monotonic() > end:
                workload.kill(process)
                raise RuntimeError("the training cell was not reached")
            time.sleep(0.01)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        if process.wait(workload.LIMIT) != 1:
            raise RuntimeError("the killed kernel was not noticed")
