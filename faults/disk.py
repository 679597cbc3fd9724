"""No room: writing fails in the middle, at a limit on the size of files or on a full disk.

The limit, which any user may set, lets every writer fail at any byte; where this user may mount
one, a small file system in memory is really full. Survived is a write that leaves the old file as
it was, and nothing beside it, ends in an error that says what and where, and succeeds after room is
made; of a training, that it then ends like an undisturbed one to the last bit.
"""

import contextlib
import resource
import shutil
import subprocess
import sys

import numpy as np

from faults import files, kills, workload
from faults.errors import describe, is_ours
from faults.result import Result
from utils.atomic import write_text
from utils.figures.history import plot_history
from utils.figures.style import save_png
from utils.records.studies import write_study
from utils.records.weights import save_weights
from utils.training import run_folder
from utils.training.epoch_log import CSV_FIELDS, write_history
from utils.training.lr_curve import RangeTestResult

PARTS = 16
MEGABYTE = 1_000_000
# Free room in MB: the first checkpoint of 2.5 MB fails, the second, the third.
ROOMS = (1.0, 4.0, 7.0)


@contextlib.contextmanager
def largest_file(size):
    """No file of this process may grow above `size` bytes: writing fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def writers(folder):
    """Name of every kind of file to a function that writes it in `folder`; returns its path."""
    from utils.model.resnet import resnet_v2  # slow to build, needed here only

    model, network = files.small_model(3.0), resnet_v2(11, mean=0.0, std=255.0)
    history = [dict.fromkeys(CSV_FIELDS, 0.5) | {"epoch": 1}]
    curve = RangeTestResult(*np.ones((3, 50)), num_steps=50, stopped_because="It was done.")
    text, figure = "text " * 2000, plot_history(history)

    def writing(name, write):
        def call():
            write(folder / name)
            return folder / name

        return call

    return {
        "checkpoint": lambda: run_folder.save_checkpoint(model, folder, 1),
        "history": writing("history.csv", lambda path: write_history(folder, 99 * history)),
        "plan, starts, record": writing("run.json", lambda path: run_folder.write_json(path, text)),
        "weights": writing("weights.npz", lambda path: save_weights(network, path)),
        "range test": writing("range_test.csv", curve.save_csv),
        "study": writing("study.json", lambda path: write_study(folder, text, {"a": "b"})),
        "figure": writing("curves.png", lambda path: save_png(figure, path)),
        "page, notebook": writing("page.html", lambda path: write_text(path, text)),
    }


def fail_each_write(folder, report=print):
    """Lets the write of every kind of file fail at each sixteenth of its length."""
    result = Result("disk", f"a write of each kind of file fails at each 1/{PARTS} of its length")
    folder.mkdir()
    for name, write in writers(folder).items():
        path = write()
        content = path.read_bytes()
        for part in range(PARTS):
            failure = ""
            try:
                with largest_file(len(content) * part // PARTS):
                    write()
                failure = f"{name}: nothing was said"
            except Exception as error:
                stem = path.name.split("-")[0].split(".")[0]
                if not is_ours(error) or stem not in str(error):
                    failure = f"{name}: {describe(error)}"
            if [one.name for one in folder.iterdir()] != [path.name]:
                failure = f"{name}: left {[one.name for one in folder.iterdir()]}"
            elif path.read_bytes() != content:
                failure = f"{name}: the old file has changed"
            elif write().read_bytes() != content:
                failure = f"{name}: it cannot be written after room is made"
            result.add(failure and f"{failure} (at {part}/{PARTS})")
        path.unlink()
    report("  every kind of file done")
    return result.done()


@contextlib.contextmanager
def small_disk(folder, megabytes):
    """Mounts a file system in memory with so much room; it is gone after the block.

    Raises:
        PermissionError: where this user may not mount.
    """
    folder.mkdir()
    options = f"size={int(megabytes * MEGABYTE)}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode != 0:
        raise PermissionError(f"cannot mount at {folder}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_room(folder, megabytes):
    """Enlarges a disk of `small_disk`."""
    options = f"remount,size={int(megabytes * MEGABYTE)}"
    subprocess.run(["mount", "-o", options, str(folder)], check=True)


def fill_disk(scratch, rooms=ROOMS, report=print):
    """A training runs out of room, ends with a message, and goes on after room is made."""
    result = Result("disk", "disk full in a training, started again after room is made")
    if sys.platform != "linux" or not shutil.which("mount"):
        return result.done("not tried: needs Linux")
    scratch.mkdir()
    images, log = workload.write_images(scratch / "images"), scratch / "log"
    straight = scratch / "straight"
    workload.run(workload.training_command(images, straight), log)
    expected = kills.outcome(straight)
    for number, room in enumerate(rooms):
        disk = scratch / f"disk-{number}"
        try:
            with small_disk(disk, room):
                failure = _train_on(disk, images, scratch / f"log-{number}", expected)
        except PermissionError:
            return result.done("not tried: this user may not mount a small file system")
        except (RuntimeError, OSError, ValueError) as error:
            failure = str(error)
        result.add(failure and f"{room} MB: {failure}")
        report(f"  {result.tries} of {len(rooms)} full disks")
    return result.done()


def _train_on(disk, images, log, expected):
    """Trains on a full disk, makes room and trains on; returns what went wrong."""
    command = workload.training_command(images, disk / "run")
    with log.open("a") as file:
        status = workload.start(command, file).wait(workload.LIMIT)
    said = log.read_text(errors="replace")
    if status != 1 or f"error: [Errno 28] cannot write {disk / 'run'}" not in said:
        return f"status {status}, last words {said.strip().splitlines()[-1]}"
    if "Make room" not in said:
        return "no remedy is named"
    make_room(disk, 100)
    workload.run(command, log)
    return kills.difference(expected, kills.outcome(disk / "run"))
