"""The history of a training: accuracy and loss of every epoch, and the accuracy of other runs."""

import matplotlib
import numpy as np

from utils.figures.style import BLUE, ORANGE, PURPLE, STYLE, add_grid, make_figure

_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
# Color on test and on training images, marker: of this run, then of the others in their order.
_LOOKS = (
    (BLUE, ORANGE, ""),
    ("#7a7a7a", "#b5b5b5", ""),
    (PURPLE, "#e8c4d8", "s"),
)


@matplotlib.rc_context(STYLE)
def plot_history(history, others=None):
    """Draws accuracy and loss of every epoch, and behind them the accuracy of other runs.

    Losses of other recipes have other terms and cannot be compared, so they are left out.

    Args:
        history: list of dicts or dict of columns with epoch, loss, accuracy, val_loss and
            val_accuracy (accuracies 0..1).
        others: dict of a run's name to its history, at most 2, such as
            `{"2019 submission": rows}`; None for none.

    Returns:
        The figure. Solid lines are test images, dashed ones training images.

    Raises:
        ValueError: when a column is missing or empty, or on more than 2 other runs.
    """
    others = {} if others is None else others
    if not isinstance(others, dict) or len(others) >= len(_LOOKS):
        raise ValueError(
            f"others must be a dict of at most {len(_LOOKS) - 1} names to histories, such as "
            f"{{'2019 submission': rows}}, got {type(others).__name__} of {len(others)}."
        )
    runs = {"": _columns(history, "history")}
    runs |= {f"{name}, ": _columns(rows, f"history of {name!r}") for name, rows in others.items()}
    figure, panels = make_figure(
        4.2 + 0.2 * max(len(others) - 1, 0), _describe(runs), 1, 2, sharex=True
    )
    for number, (prefix, run) in enumerate(runs.items()):
        test_color, training_color, marker = _LOOKS[number]
        epochs = run["epoch"]
        look = {"linewidth": 1.3 if number else 2.0, "zorder": 3 - 0.1 * number, "markersize": 4}
        look |= {"marker": marker or "o"} if marker or len(epochs) < 12 else {}
        look |= {"markevery": max(len(epochs) // 10, 1)}
        for axes, key, scale in ((panels[0], "accuracy", 100), (panels[1], "loss", 1)):
            if number and key == "loss":
                continue
            for column, images, color, line in (
                (f"val_{key}", "test", test_color, "-"),
                (key, "training", training_color, (0, (4, 1.5))),
            ):
                label = f"{prefix}{images}" if prefix else f"{images} images"
                axes.plot(
                    epochs, scale * run[column], color=color, linestyle=line, label=label, **look
                )
    for axes, title in zip(
        panels, ("accuracy (%)", "loss of this run, all its terms"), strict=True
    ):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        first, last = axes.dataLim.intervalx
        if first == last:  # else the ticks would be hundredths of an epoch
            axes.set_xlim(first - 1, last + 1)
        add_grid(axes)
    highest = panels[1].dataLim.y1  # infinite when no loss is finite
    panels[1].set_ylim(0, 1.05 * highest if np.isfinite(highest) else None)
    handles, labels = panels[0].get_legend_handles_labels()
    # A legend fills column by column, so that each of several runs has a column of its own.
    columns = max(len(runs), 2)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3.0)
    return figure


def _columns(history, name):
    """Turns a list of rows or a dict of columns into a dict of float arrays."""
    if isinstance(history, dict):
        columns = history
    else:
        rows = list(history)
        columns = {key: [row.get(key) for row in rows] for key in (rows[0] if rows else {})}
    missing = [key for key in _COLUMNS if key not in columns or not len(columns[key])]
    if missing:
        raise ValueError(
            f"{name} has no values for {missing}; it needs {list(_COLUMNS)}, as `fit` returns them."
        )
    return {key: np.asarray(columns[key], "float64") for key in _COLUMNS}


def _describe(runs):
    finals = [
        f"{prefix or 'this run, '}{100 * run['val_accuracy'][-1]:.2f} %"
        for prefix, run in runs.items()
    ]
    return (
        "Accuracy and loss by epoch, on training and test images; test accuracy after the last "
        "epoch: " + "; ".join(finals)
    )
