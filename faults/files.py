"""Torn, flipped and foreign files: what does each reader do with them?

Every file that a run or a study leaves behind is damaged in every way, read as the programs read
it, and repaired again. Survived is a damage that ends in a clear error which names the file, in the
checkpoint before, or in the very same result; the other files must be what they were.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from faults.errors import describe, is_ours
from faults.result import Result
from utils.records.read import read_record
from utils.records.studies import read_study
from utils.records.weights import read_weights
from utils.training import run_folder
from utils.training.epoch_log import CSV_FIELDS, write_history
from utils.training.lr_curve import RangeTestResult

RUNS = Path(__file__).resolve().parent.parent / "runs"
SAMPLE = "shapes-resnet20v2"  # a record with its weights
CUTS = 16
SURVIVED = ("refused", "the same", "the one before")
NOBODY = 65534  # root may read everything, so root turns into another user for a moment


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: what it is.
        path: of the file, in the folder.
        read: function of the folder that gives a value to compare.
        foreign: bytes, the same file of another run.
        text: whether it is text, in which a flipped digit is another digit and nothing tells.
        alone: whether nothing ties it to its run, so that one of another run is as good.
    """

    name: str
    path: Path
    read: Callable
    foreign: bytes
    text: bool = True
    alone: bool = False


def small_model(weight, units=1):
    """A weight and a bias for each unit, and an optimizer: the least that has a checkpoint."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    model.set_weights([np.full((1, units), weight), np.full(units, weight)])
    return model


def run_files(folder):
    """The kinds of file in the folder of a run that is under way."""
    model = small_model(4.0)
    history = [dict.fromkeys(CSV_FIELDS, 0.5) | {"epoch": epoch} for epoch in range(1, 5)]
    plan = {"recipe": {"name": "one-cycle", "area": [0.1, 0.2]}, "seed": 0, "precision": "float32"}
    other = folder.with_name("other")
    for place, epochs, seed in ((folder, 4, 0), (other, 3, 1)):
        place.mkdir()
        run_folder.check_plan(place, plan | {"seed": seed})
        run_folder.add_start(place, {"epoch": 1, "device": f"CPU {seed}"})
        write_history(place, history[:epochs])
    run_folder.save_checkpoint(small_model(3.0), folder, 3)
    checkpoint = run_folder.save_checkpoint(model, folder, 4)
    foreign = run_folder.save_checkpoint(small_model(5.0, units=2), other, 3)

    starts = folder / "starts.json"

    def restore(place):
        rows = run_folder.restore(model, place, report=lambda line: None)
        return rows, [weight.tolist() for weight in model.get_weights()]

    def check_plan(place):
        run_folder.check_plan(place, plan)
        return run_folder.planned_precision(place)

    def content(name):
        return (other / name).read_bytes()

    files = (
        Kind("checkpoint", checkpoint, restore, foreign.read_bytes(), text=False),
        Kind("history", folder / "history.csv", restore, content("history.csv")),
        Kind("plan", folder / "plan.json", check_plan, content("plan.json")),
        Kind("starts", starts, run_folder.read_starts, content("starts.json"), alone=True),
    )
    shutil.rmtree(other)
    return files


def record_files(folder):
    """The kinds of file in a record and in a study."""
    record, study = folder / SAMPLE, folder / "decay"
    shutil.copytree(RUNS / SAMPLE, record)
    shutil.copytree(RUNS / "studies" / "decay", study)
    other = next(path.parent for path in sorted(RUNS.glob("full-*/range_test.csv")))
    curve = folder / "range_test.csv"
    shutil.copy(other / curve.name, curve)
    one = RangeTestResult.load_csv(curve)
    other_curve = folder / "other.csv"
    RangeTestResult(one.lr[:50], one.loss[:50], one.smoothed[:50], 100, "x").save_csv(other_curve)

    def read_run(place):
        found = read_record(record)
        return found.run, found.history

    def read_weights_of_record(place):
        arrays = read_weights(record / "weights.npz", read_record(record).run["weights"]["sha256"])
        return {name: array.tobytes() for name, array in arrays.items()}

    def read_curve(place):
        found = RangeTestResult.load_csv(curve)
        columns = [array.tobytes() for array in (found.lr, found.loss, found.smoothed)]
        return columns, found.num_steps, found.beta, found.stopped_because, found.measured_on

    def read_entries(place):
        found = read_study(study)
        return found.title, [(label, [one.name for one in runs]) for label, runs in found.results]

    run, log, weights = (record / name for name in ("run.json", "history.csv", "weights.npz"))
    foreign = [(other / path.name).read_bytes() for path in (run, log, weights)]
    foreign.append((RUNS / "studies" / "peaks" / "study.json").read_bytes())
    files = (
        Kind("record", run, read_run, foreign[0]),
        Kind("history of a record", log, read_run, foreign[1]),
        Kind("weights", weights, read_weights_of_record, foreign[2], text=False),
        Kind("range test", curve, read_curve, other_curve.read_bytes(), alone=True),
        Kind("study", study / "study.json", read_entries, foreign[3], alone=True),
    )
    other_curve.unlink()
    return files


def damages(content, foreign, flips, rng):
    """Yields (name, new content) of every damage to a file that is a matter of its content."""
    for part in range(1, CUTS):
        yield f"cut at {part}/{CUTS}", content[: len(content) * part // CUTS]
    yield "empty", b""
    yield "of another run", foreign
    for place in rng.choice(len(content), min(flips, len(content)), replace=False):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        yield f"bit flipped in byte {place}", bytes(flipped)


def tried(kind, folder, expected):
    """Reads a damaged file.

    Returns:
        `"refused"`, `"the same"`, `"the one before"`, `"another value"`, or else what went wrong.
    """
    try:
        found = kind.read(folder)
    except Exception as error:
        if not is_ours(error):
            return f"foreign exception: {describe(error)}"
        names = (kind.path.name, kind.path.parent.name, folder.name)
        named = any(name in str(error) for name in names)
        return "refused" if named else f"unnamed file: {error}"
    if found == expected:
        return "the same"
    if kind.name == "checkpoint" and found == (expected[0][:3], [[[3.0]], [3.0]]):
        return "the one before"
    return "another value"


def damage_file(kind, folder, flips, rng):
    """Tries every damage on one kind of file; returns a `Result`."""
    result = Result(
        "files", f"{kind.name}: cut, empty, a bit flipped, of another run, a folder, unreadable"
    )
    expected, content = kind.read(folder), kind.path.read_bytes()
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    counts = {}

    def judge(damage, what):
        kind_of_outcome = what.split(":")[0]
        counts[kind_of_outcome] = counts.get(kind_of_outcome, 0) + 1
        flipped, foreign = damage.startswith("bit"), damage == "of another run"
        if what in SURVIVED:
            result.add()
        elif what == "another value" and (kind.text and flipped or kind.alone and foreign):
            result.add_unnoticed()  # nothing in such a file could tell
        else:
            result.add(f"{damage}: {what}")
        changed = [
            path.name
            for path, old in contents.items()
            if path != kind.path and (not path.is_file() or path.read_bytes() != old)
        ]
        if changed and not (what == "the one before" and changed == ["history.csv"]):
            result.add(f"{damage}: {changed} changed, too", count=0)
        for path, old in contents.items():
            if path.name in changed or path == kind.path:
                path.write_bytes(old)

    for damage, new in damages(content, kind.foreign, flips, rng):
        kind.path.write_bytes(new)
        judge(damage, tried(kind, folder, expected))
    kind.path.unlink()
    kind.path.mkdir()
    what = tried(kind, folder, expected)
    kind.path.rmdir()
    judge("a folder", what)
    kind.path.chmod(0)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        what = tried(kind, folder, expected)
    finally:
        if is_root:
            os.seteuid(0)
        kind.path.chmod(0o644)
    judge("without permission", what)
    return result.done(", ".join(f"{count} {what}" for what, count in counts.items() if count))


def damage_files(scratch, flips=100, report=print):
    """Damages every kind of file in turn; returns a list of `Result`."""
    rng, results = np.random.default_rng(0), []
    scratch.chmod(0o755)  # another user may enter, but see the file below
    for name, make in (("run", run_files), ("records", record_files)):
        folder = scratch / name
        if make is record_files:
            folder.mkdir()
        for kind in make(folder):
            results.append(damage_file(kind, folder, flips, rng))
            report(results[-1].line())
    return results
