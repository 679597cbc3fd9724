"""One line for each epoch: the columns that training prints, stores and reports.

Training writes a row into `history.csv` and prints `format_epoch_row(row)`; the README prints the
same line from the row that is read back. Sharing this module keeps the three from drifting apart.
"""

import csv
from pathlib import Path

from utils.atomic import replacing

REDO = "do not edit records by hand: run it again, or restore the file from version control"
# Columns of runs/<name>/history.csv. A schedule may move within an epoch, so the learning rate
# and the momentum are stored for the first and the last step of each epoch.
CSV_FIELDS = (
    "epoch",
    "learning_rate_first",
    "learning_rate_last",
    "momentum_first",
    "momentum_last",
    "seconds",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
)

# Heading, field and number format of each printed column; the heading sets the width.
# "#" keeps trailing zeros: the smallest rates (1.600e-06) show as many digits as the largest.
_COLUMNS = (
    ("epoch", "epoch", "d"),
    ("learning rate", "learning_rate_last", "#.4g"),
    ("momentum", "momentum_last", ".4f"),
    ("seconds", "seconds", ".1f"),
    ("  loss", "loss", ".4f"),
    ("accuracy", "accuracy", ".4f"),
    ("val loss", "val_loss", ".4f"),
    ("val accuracy", "val_accuracy", ".4f"),
)

EPOCH_HEADER = "  ".join(heading for heading, _, _ in _COLUMNS)


def format_epoch_row(row):
    """Formats one epoch as a line whose columns stand under `EPOCH_HEADER`.

    Learning rate and momentum are those of the epoch's last step.

    Args:
        row: dict with the keys of `CSV_FIELDS`: epoch an int from 1, seconds a float, accuracies
            in 0..1. A value that is missing or `None` is printed as "-".

    Returns:
        str without a line end. No colors, no carriage return: the line reads the same in a
        terminal, in a notebook and in a file.
    """
    cells = []
    for heading, field, spec in _COLUMNS:
        value = row.get(field)
        text = "-" if value is None else format(int(value) if spec == "d" else float(value), spec)
        cells.append(text.rjust(len(heading)))
    return "  ".join(cells)


def write_history(folder, rows):
    """Writes `history.csv`.

    Args:
        folder: `pathlib.Path` of an existing folder.
        rows: list of dicts with the keys of `CSV_FIELDS`, one an epoch.
    """
    with (
        replacing(folder / "history.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, CSV_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


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
