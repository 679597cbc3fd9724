"""Reads run records, checks each against itself, and says which of them is reported.

A record is a folder `runs/<name>/` with `history.csv` (a row an epoch), `run.json`, and for a run
that is shipped `weights.npz`. `utils.records.write` writes it; README and notebook print only what is read
here.

Which run is reported: of the runs of our recipe measured on CIFAR-10's test set, a full result
before any other, then one of the recipe as it is today, then the one on more test images, then the
longer one, then the last by name. The accuracy never decides: choosing the best of several runs
would be choosing on the test set.
"""

import csv
import dataclasses
import hashlib
import json
import math
import statistics
from pathlib import Path

from utils.settings import RECIPES
from utils.training.epoch_log import CSV_FIELDS

ROOT = Path(__file__).resolve().parents[2]
SUBMISSION = "2019-submission"
REPORTED_RECIPE = "one-cycle"
FAULTS = "faults"  # a folder of runs/ without runs, see utils.records.faults
STUDIES = "studies"  # a folder of runs/ whose runs belong together, see utils.records.studies
WEIGHTS_FILE = "weights.npz"
REDO = "do not edit records by hand: run it again, or restore the file from version control"
# Fields of run.json, with dots for nesting. Only a record that names the `source` it was
# transcribed from may say null ("not known") in those of the second group.
REQUIRED = (
    *("name", "full_result", "recipe.name", "recipe.depth", "recipe.epochs"),
    *("data.source", "data.test_images", "data.validation", "seconds"),
    *("final.accuracy", "final.loss", "final.correct", "final.images", "final.ci95"),
    *("best_epoch.epoch", "best_epoch.accuracy"),
)
KNOWN_TODAY = (
    *("profile", "seed", "data.content_hash", "data.train_images", "versions"),
    *("backend", "device", "precision", "parameters", "git_commit"),
    *("compile_seconds", "starts"),
)


def wilson_interval(correct, total, z=1.96):
    """Confidence interval of a share, after Wilson 1927; unlike p +- z s it never leaves 0..1.

    Args:
        correct: int, 0..total.
        total: int >= 1.
        z: quantile of the normal distribution; 1.96 gives a 95 % interval.

    Returns:
        (low, high), floats in 0..1.

    Raises:
        ValueError: on counts outside their range.
    """
    if not (total >= 1 and 0 <= correct <= total):
        raise ValueError(
            f"correct must be from 0 to total and total at least 1, got {correct} of {total}."
        )
    share, spread = correct / total, z * z / total
    center = share + spread / 2
    margin = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (center - margin) / (1 + spread), (center + margin) / (1 + spread)
    return max(low, 0.0), min(high, 1.0)  # rounding may leave -1e-19


def mean_and_deviation(values):
    """Mean and sample standard deviation (n - 1) of one or more numbers; NaN of a single one."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def as_json(value):
    """A plain value as it will be when it has been written to a JSON file and read back."""
    return json.loads(json.dumps(value))


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as it was recorded.

    Attributes:
        folder: `pathlib.Path` of the record.
        run: dict, the content of run.json.
        history: list of dicts, keys `utils.training.epoch_log.CSV_FIELDS`, one an epoch.
    """

    folder: Path
    run: dict
    history: list

    @property
    def name(self):
        return self.run["name"]

    @property
    def model(self):
        return f"ResNet{self.run['recipe']['depth']}v2"

    @property
    def is_transcribed(self):
        """Whether the record was copied from another source, as that of 2019 was."""
        return bool(self.run.get("source"))

    @property
    def on_test_set(self):
        return self.run["data"]["validation"].startswith("test set")

    @property
    def on_cifar10(self):
        return self.run["data"]["source"].startswith("CIFAR-10")

    @property
    def on_compressed_copy(self):
        """Whether the images were JPEG files, whose compression loses detail."""
        return "JPEG" in self.run["data"]["source"]

    @property
    def ships_weights(self):
        """Whether the trained weights lie beside the record; see `utils.records.weights`."""
        return "weights" in self.run and (self.folder / WEIGHTS_FILE).is_file()

    @property
    def of_todays_recipe(self):
        """Whether the run had the settings that its recipe has now; else it repeats no more."""
        recipe = RECIPES.get(self.run["recipe"]["name"])
        return recipe is not None and self.run["recipe"] == as_json(dataclasses.asdict(recipe))

    @property
    def devices(self):
        """What the run was trained on, one device for each start, without repetition."""
        starts = self.run.get("starts") or [self.run]
        return list(dict.fromkeys(start["device"] for start in starts))

    @property
    def label(self):
        """What the run is, so that no number is taken for more than it is."""
        recipe = self.run["recipe"]["name"]
        if self.is_transcribed:
            return "transcribed from its log"
        if self.run["full_result"]:
            former = "" if self.of_todays_recipe else " in an earlier form"
            return f"{recipe}, the full recipe{former}"
        kind = self.run["device"].split()[0]  # "CPU" of "CPU (AMD EPYC, 2 cores)"
        place = "" if self.on_test_set else f"; measured on {self.run['data']['validation']}"
        return f"{recipe}; {self.run['profile']} profile, {kind}: not the full result{place}"


def read_history(path):
    """Reads history.csv.

    Args:
        path: file name or `pathlib.Path`.

    Returns:
        List of dicts with the keys of `CSV_FIELDS`; epoch an int, the rest floats, or None where
        the file has nothing.

    Raises:
        ValueError: when columns are missing, epochs are not 1..n, or a value is no number or no
            accuracy.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        columns, *lines = csv.reader(text.splitlines())
        rows = list(csv.DictReader(text.splitlines()))
    except (ValueError, csv.Error) as error:  # no UTF-8, no line, or no CSV
        raise ValueError(f"{path} is no CSV file ({error}); {REDO}.") from None
    if tuple(columns) != CSV_FIELDS:
        missing = [name for name in CSV_FIELDS if name not in columns]
        raise ValueError(
            f"{path}: the columns are {columns}, missing {missing}; they must be "
            f"{','.join(CSV_FIELDS)}; {REDO}."
        )
    if not text.endswith("\n"):
        raise ValueError(f"{path} ends in the middle of line {len(lines) + 1}; {REDO}.")
    history = []
    for number, row in enumerate(rows, start=1):
        try:
            values = {key: float(value) if value else None for key, value in row.items()}
        except (TypeError, ValueError):
            raise ValueError(f"{path}: row {number} is {row}, not all numbers; {REDO}.") from None
        if values["epoch"] != number:
            raise ValueError(
                f"{path}: epoch in row {number} is {row['epoch']!r}, expected {number}: epochs "
                f"must count from 1 without gap; {REDO}."
            )
        for key in ("accuracy", "val_accuracy"):
            if values[key] is None or not 0 <= values[key] <= 1:
                raise ValueError(
                    f"{path}: {key} of epoch {number} is {row[key]!r}, but it must lie in 0..1; "
                    f"{REDO}."
                )
        history.append({**values, "epoch": number})
    if not history:
        raise ValueError(f"{path}: no epoch is recorded; finish the run first.")
    return history


def _lookup(run, field):
    for key in field.split("."):
        if not isinstance(run, dict) or key not in run:
            raise KeyError(field)
        run = run[key]
    return run


def read_record(folder):
    """Reads a run record and refuses one that is incomplete or contradicts itself.

    Args:
        folder: path of `runs/<name>`.

    Returns:
        `Record`.

    Raises:
        ValueError: naming file, field, both values and what to do.
    """
    folder = Path(folder).resolve()
    path, history_path = folder / "run.json", folder / "history.csv"
    for needed in (path, history_path):
        if not needed.is_file():
            raise ValueError(
                f"{needed} is missing, so {folder} is no complete record; finish the run (start "
                f"it again, it resumes) or remove the folder."
            )
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError, too
        raise ValueError(f"{path} is not valid JSON ({error}); {REDO}.") from None
    for field in REQUIRED + KNOWN_TODAY:
        try:
            value = _lookup(run, field)
        except KeyError:
            raise ValueError(f"{path}: the field {field} is missing; {REDO}.") from None
        if value is None and (field in REQUIRED or not run.get("source")):
            raise ValueError(
                f"{path}: {field} is null, but only a record transcribed from a named `source` "
                f"may leave it open; {REDO}."
            )
    record = Record(folder, run, read_history(history_path))
    try:
        _check_against_itself(record, path, history_path)
    except (
        TypeError,
        KeyError,
        AttributeError,
    ) as error:  # a word where a number should be, or a missing part
        raise ValueError(f"{path}: a value has the wrong kind ({error!r}); {REDO}.") from None
    return record


def _check_against_itself(record, path, history_path):
    run, history = record.run, record.history
    final, images = run["final"], run["final"]["images"]
    last = history[-1]
    best = max(history, key=lambda row: row["val_accuracy"])
    interval = wilson_interval(final["correct"], images)
    # Accuracies are rounded in the file; 0.05 images is below any count and above any rounding.
    close = 0.05 / images
    log = f"{history_path} gives"
    for field, value, other, expected, tolerance in (
        ("name", run["name"], "the folder is", record.folder.name, None),
        ("recipe.epochs", run["recipe"]["epochs"], log, len(history), None),
        ("final.images", images, "data.test_images is", run["data"]["test_images"], None),
        *[
            ("final.accuracy", final["accuracy"], source, accuracy, close)
            for source, accuracy in (
                ("final.correct / final.images is", final["correct"] / images),
                (f"the last row of {log}", last["val_accuracy"]),
            )
        ],
        ("final.loss", final["loss"], f"the last row of {log}", last["val_loss"], 1e-4),
        ("seconds", run["seconds"], log, sum(row["seconds"] for row in history), 0.1),
        ("final.ci95[0]", final["ci95"][0], "the Wilson interval starts at", interval[0], 6e-4),
        ("final.ci95[1]", final["ci95"][1], "the Wilson interval ends at", interval[1], 6e-4),
        ("best_epoch.epoch", run["best_epoch"]["epoch"], log, best["epoch"], None),
        (
            *("best_epoch.accuracy", run["best_epoch"]["accuracy"], log),
            *(best["val_accuracy"], close),
        ),
    ):
        equal = value == expected  # also when both are infinite
        if tolerance is not None and not equal:
            both_nan = math.isnan(value) and math.isnan(expected)  # after divergence
            equal = both_nan or abs(value - expected) <= tolerance
        if not equal:
            raise ValueError(f"{path}: {field} is {value}, but {other} {expected}; {REDO}.")
    _check_starts(run, path)
    mirrored = run.get("flip_averaged")
    if mirrored and abs(mirrored["accuracy"] - mirrored["correct"] / images) > close:
        raise ValueError(
            f"{path}: flip_averaged.accuracy is {mirrored['accuracy']}, but {mirrored['correct']} "
            f"of {images} are {mirrored['correct'] / images}; {REDO}."
        )
    if record.ships_weights:
        weights = record.folder / WEIGHTS_FILE
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
        if found != run["weights"]["sha256"]:
            raise ValueError(
                f"{path}: weights.sha256 is {run['weights']['sha256']}, but {weights} has {found}; "
                f"{REDO}."
            )


def _check_starts(run, path):
    """A run may have been interrupted; its starts are in order and tell the time of compiling."""
    starts = run.get("starts")
    if starts is None:  # transcribed
        return
    epochs = [start["epoch"] for start in starts]
    if not epochs or epochs[0] != 1 or epochs != sorted(epochs):
        raise ValueError(
            f"{path}: the starts are at epochs {epochs}, but they must begin at 1 and rise; {REDO}."
        )
    total = sum(start["compile_seconds"] for start in starts)
    if abs(total - run["compile_seconds"]) > 0.1:
        raise ValueError(
            f"{path}: compile_seconds is {run['compile_seconds']}, but its starts add up to "
            f"{total:.2f}; {REDO}."
        )


def read_records(folder=ROOT / "runs"):
    """Reads all records, the submission of 2019 first, then the reported run, then by name.

    Args:
        folder: path of `runs/`.

    Returns:
        List of `Record`. The folders of the studies and of the faults are passed over, and an
        unfinished run (`plan.json`, but no `run.json`), too.

    Raises:
        ValueError: when a folder in it is no sound record.
    """
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    folders = [path for path in folders if path.name not in (STUDIES, FAULTS)]
    # A run that is under way has a plan and no record yet.
    folders = [
        path
        for path in folders
        if (path / "run.json").exists() or not (path / "plan.json").exists()
    ]
    records = [read_record(path) for path in folders]
    reported = reported_record(records)
    return sorted(
        records, key=lambda record: (record.name != SUBMISSION, record != reported, record.name)
    )


def reported_record(records):
    """The run whose numbers head the README; the module's docstring states the rule.

    Args:
        records: list of `Record`, at least one.

    Returns:
        `Record`; that of 2019 while there is no other.
    """
    ours = [
        record
        for record in records
        if record.run["recipe"]["name"] == REPORTED_RECIPE
        and record.on_test_set
        and record.on_cifar10
    ]
    return max(
        ours or records,
        key=lambda record: (
            record.run["full_result"],
            record.of_todays_recipe,
            record.run["final"]["images"],
            record.run["recipe"]["epochs"],
            record.name,
        ),
    )
