"""Accuracy by epoch of several recipes, each with one or several seeds."""

import matplotlib
import numpy as np

from utils.figures.style import (
    BLUE,
    GREEN,
    LARGE,
    ORANGE,
    PURPLE,
    add_grid,
    check_shape,
    make_figure,
)

_DASHES = (0, (4, 1.5))
_LOOKS = ((PURPLE, _DASHES, 1.8), (ORANGE, "-", 1.8), (BLUE, "-", 2.6), (GREEN, _DASHES, 1.8))


@matplotlib.rc_context(LARGE)
def plot_learning_curves(accuracies, images="test"):
    """Draws the mean accuracy of every epoch, and around it the range of the seeds.

    Args:
        accuracies: dict of a recipe's label to one sequence (epochs,) of accuracies 0..1 for each
            seed; recipes may differ in their epochs.
        images: `"test"` or `"held-out"`, what it was measured on.

    Returns:
        The figure.

    Raises:
        ValueError: on no recipe, more than four, one without a run, runs of unequal length, or
            accuracies outside 0..1.
    """
    if not 1 <= len(accuracies) <= len(_LOOKS):
        raise ValueError(
            f"plot_learning_curves draws 1 to {len(_LOOKS)} recipes, got {len(accuracies)}."
        )
    percent = {label: _percent(runs, label) for label, runs in accuracies.items()}
    finals = [f"{label} {_final(runs)}" for label, runs in percent.items()]
    figure, axes = make_figure(
        4.0 + 0.26 * len(percent),
        f"{images.capitalize()} accuracy by epoch; after the last one: {'; '.join(finals)}.",
    )
    for (color, line, width), (label, runs) in zip(_LOOKS, percent.items()):
        epochs, mean = np.arange(1, runs.shape[1] + 1), runs.mean(axis=0)
        label = f"{_final(runs)}  {label}"
        axes.plot(epochs, mean, color=color, linestyle=line, linewidth=width, label=label)
        axes.fill_between(epochs, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.2, lw=0)
        axes.plot(epochs[-1], mean[-1], "o", color=color, markersize=6, clip_on=False)
    lowest_last = min(runs[:, -1].min() for runs in percent.values())
    axes.set_ylim(max(lowest_last - 30, 0), 100)
    axes.set_title(f"{images} accuracy (%); mean, and the range of the seeds")
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    add_grid(axes)
    figure.legend(loc="outside upper left", handlelength=3.0)
    return figure


def _percent(runs, label):
    """(seeds, epochs) in percent."""
    if len({len(run) for run in runs}) != 1:
        raise ValueError(
            f"accuracies of {label} must have one run or several of equal length, got lengths "
            f"{[len(run) for run in runs]}."
        )
    return to_percent(runs, (None, None), label, "pass one row a seed")


def to_percent(values, shape, name, remedy):
    """Accuracies 0..1 in percent, after a check.

    Args:
        values: array-like.
        shape, remedy: as for `utils.figures.style.check_shape`.
        name: str, of the run or recipe, for errors.

    Returns:
        The NumPy array.

    Raises:
        ValueError: when the shape is another one, or a value lies outside 0..1.
    """
    values = check_shape(values, shape, f"accuracies of {name}", remedy)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"accuracies of {name} must lie in 0..1, got {values.tolist()}.")
    return 100 * values


def _final(runs):
    """Accuracy after the last epoch as text, with the standard deviation of three seeds or more."""
    last = runs[:, -1]
    spread = f" ± {last.std(ddof=1):.2f}" if len(last) > 2 else ""
    return f"{last.mean():.2f}{spread} % ({len(last)} seed{'s' if len(last) > 1 else ''})"
