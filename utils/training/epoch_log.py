"""One line for each epoch: the columns that training prints, stores and reports.

Training appends a row to `history.csv` and prints `format_epoch_row(row)`; the README prints the
same line from the stored row. Sharing this module keeps the three from drifting apart.
"""

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
