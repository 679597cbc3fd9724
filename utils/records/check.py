"""Refuses a record that is incomplete or contradicts itself.

What `run.json` must hold stands in `run_schema.json` and is checked by jsonschema; here is what a
schema cannot say: that the numbers of the record agree with each other and with its history.
"""

import functools
import hashlib
import json
import math
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from utils.data.cifar_archive import CONTENT_HASH, IMAGES, SOURCES
from utils.records.intervals import wilson_interval
from utils.training.epoch_log import REDO

# Null only in a record that names the `source` it was transcribed from.
KNOWN_TODAY = ("profile", "seed", "versions", "backend", "device", "precision", "parameters")
KNOWN_TODAY += ("compile_seconds", "starts", "git_commit")


@functools.cache
def _validator():
    schema = Path(__file__).with_name("run_schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(schema))


def check_fields(run, path):
    """Checks that the content of a run.json has every field, of the right kind and range.

    Args:
        run: what the file holds, as JSON gives it.
        path: of the file, for the message.

    Raises:
        ValueError: naming file, field, value and what to do.
    """
    error = best_match(_validator().iter_errors(run))
    if error is not None:
        field = error.json_path.removeprefix("$").removeprefix(".")
        if error.validator == "required":
            lost = next(name for name in error.validator_value if name not in error.instance)
            problem = f"the field {f'{field}.{lost}'.lstrip('.')} is missing"
        else:
            problem = f"{field or 'the content'} is wrong: {error.message}"
        raise ValueError(f"{path}: {problem}; {REDO}.")
    data = run["data"]
    values = {field: run[field] for field in KNOWN_TODAY}
    values |= {f"data.{field}": data[field] for field in ("content_hash", "train_images")}
    unknown = [field for field, value in values.items() if value is None]
    if unknown and not run.get("source"):
        raise ValueError(
            f"{path}: {unknown[0]} is null, but only a record transcribed from a named `source` "
            f"may leave it open; {REDO}."
        )


def check_agreement(record):
    """Checks that a record agrees with itself, its folder, its history and its weights.

    Args:
        record: `utils.records.read.Record` whose run has passed `check_fields`.

    Raises:
        ValueError: naming file, field, both values and what to do.
    """
    folder, run, history = record.folder, record.run, record.history
    path, log = folder / "run.json", f"{folder / 'history.csv'} gives"
    end = f"the last row of {log}"
    final, images, last = run["final"], run["final"]["images"], history[-1]
    best = max(history, key=lambda row: row["val_accuracy"])
    low, high = wilson_interval(min(final["correct"], images), images)
    close = 0.05 / images  # below any count of images, above any rounding
    checks = [
        ("name", run["name"], "the folder is", folder.name, 0),
        ("recipe.epochs", run["recipe"]["epochs"], log, len(history), 0),
        ("final.images", images, "data.test_images is", run["data"]["test_images"], 0),
        *_shares("final", final, images, close),
        ("final.accuracy", final["accuracy"], end, last["val_accuracy"], close),
        ("final.loss", final["loss"], end, last["val_loss"], 1e-4),
        ("seconds", run["seconds"], log, sum(row["seconds"] for row in history), 0.1),
        ("final.ci95[0]", final["ci95"][0], "the Wilson interval starts at", low, 6e-4),
        ("final.ci95[1]", final["ci95"][1], "the Wilson interval ends at", high, 6e-4),
        ("best_epoch.epoch", run["best_epoch"]["epoch"], log, best["epoch"], 0),
        ("best_epoch.accuracy", run["best_epoch"]["accuracy"], log, best["val_accuracy"], close),
    ]
    checks += _images("data", run["data"], ("train_images", "test_images"))
    if "flip_averaged" in run:
        checks += _shares("flip_averaged", run["flip_averaged"], images, close)
    for number, one in enumerate(run.get("measured", [])):
        field, close_there = f"measured[{number}]", 0.05 / one["images"]
        checks += _shares(field, one, one["images"], close_there)
        mirrored = one["flip_averaged"]
        checks += _shares(f"{field}.flip_averaged", mirrored, one["images"], close_there)
        checks += _images(field, one, (None, "images"))
    if run["starts"] is not None:  # null where the record was transcribed
        checks += _starts(run)
    if record.ships_weights:
        found = hashlib.sha256(record.weights_path.read_bytes()).hexdigest()
        has = f"{record.weights_path} has"
        checks.append(("weights.sha256", run["weights"]["sha256"], has, found, 0))
    for field, value, other, expected, tolerance in checks:
        if not _equal(value, expected, tolerance):
            raise ValueError(f"{path}: {field} is {value}, but {other} {expected}; {REDO}.")


def _shares(field, part, images, close):
    share = part["correct"] / images
    yield f"{field}.accuracy", part["accuracy"], f"{field}.correct / images is", share, close


def _images(field, part, counts):
    """Whole and official in source and hash alike, or in neither; a part of it names its size."""
    source, content = part["source"], part["content_hash"]
    if source in SOURCES and content is not None:  # null where the record was transcribed
        origin = f"the content of {source!r} has"
        yield f"{field}.content_hash", content, origin, CONTENT_HASH, 0
        for name, count in zip(counts, IMAGES, strict=True):
            if name:
                yield f"{field}.{name}", part[name], f"{source!r} has", count, 0
    elif content == CONTENT_HASH and not source.startswith(SOURCES):  # a subset may be all of it
        yield f"{field}.source", source, "its content_hash is that of", " or ".join(SOURCES), 0


def _starts(run):
    """A run may have been interrupted; its starts are in order and tell the time of compiling."""
    epochs = [start["epoch"] for start in run["starts"]]
    total = sum(start["compile_seconds"] for start in run["starts"])
    yield "the epochs of starts", epochs, "in order, from 1, they are", [1, *sorted(epochs)[1:]], 0
    yield "compile_seconds", run["compile_seconds"], "its starts add up to", round(total, 2), 0.1


def _equal(value, expected, tolerance):
    if value == expected:  # also when both are infinite
        return True
    if tolerance == 0:
        return False
    both_nan = math.isnan(value) and math.isnan(expected)  # after divergence
    return both_nan or abs(value - expected) <= tolerance


def read_fields(path, fields, redo):
    """Reads a JSON object that must have fields of certain kinds.

    Args:
        path: of the file.
        fields, redo: as for `check_kinds`.

    Returns:
        dict.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: naming file, field and what to do.
    """
    try:
        values = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}); {redo}.") from None
    check_kinds(values, fields, path, redo)
    return values


def check_kinds(values, fields, path, redo):
    """Raises `ValueError` unless a dict has fields of these kinds.

    Args:
        values: what the file holds.
        fields: dict of field to type; an int may stand for a float.
        path: of the file, for the message.
        redo: what to do, for the message.
    """
    for name, kind in fields.items():
        value = values.get(name) if isinstance(values, dict) else None
        if not isinstance(value, (int, float) if kind is float else kind):
            raise ValueError(f"{path}: {name} is {value!r}, not a {kind.__name__}; {redo}.")
