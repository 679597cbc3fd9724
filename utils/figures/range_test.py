"""The learning-rate range test, and what trainings at other peaks say about its proposal."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.transforms import ScaledTranslation

from utils.figures.style import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    STYLE,
    VERMILION,
    add_grid,
    check_shape,
    make_figure,
)

_MARKS = {"steep": ("v", GREEN), "minimum": ("s", PURPLE), "valley": ("D", ORANGE)}
_MARKS |= {"slide": ("^", SKY), "proposed peak": ("*", VERMILION), "recipe's peak": ("P", BLACK)}


@matplotlib.rc_context(STYLE)
def plot_range_test(result, suggestions=None, proposed=None, peak=None):
    """Draws a learning-rate range test: raw and smoothed loss against the learning rate.

    Args:
        result: an object with the attributes lr (n,) > 0, loss (n,), smoothed (n,),
            stopped_because (a sentence) and, where the loss is not the batch's own, measured_on
            ("held-out").
        suggestions: named tuple of learning rates (steep, minimum, valley, slide), or None; a
            suggestion that is None or NaN is left out.
        proposed: the peak that the test proposes, or None.
        peak: the peak that the recipe has, or None.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal lengths or on a learning rate that is not positive.
    """
    lr = check_shape(result.lr, (None,), "lr", "pass the learning rate of every step")
    loss = check_shape(result.loss, lr.shape, "loss", "one loss for each learning rate")
    smoothed = check_shape(result.smoothed, lr.shape, "smoothed", "one value for each lr")
    marks = dict(suggestions._asdict()) if suggestions is not None else {}
    marks |= {"proposed peak": proposed, "recipe's peak": peak}
    marks = {name: x for name, x in marks.items() if x is not None and np.isfinite(x)}
    lowest, highest = min([lr.min(), *marks.values()]), max([lr.max(), *marks.values()])
    if lowest <= 0:
        raise ValueError(
            f"Learning rates must be > 0 to be drawn on a logarithmic axis, got {lowest}; start "
            f"the range test above 0."
        )
    figure, axes = make_figure(
        3.8 + 0.22 * len(marks),
        "Loss against learning rate in the range test"
        + "".join(f", {name} {x:.3g}" for name, x in marks.items()),
    )
    held_out = getattr(result, "measured_on", "batch") == "held-out"
    name = "loss on held-out images" if held_out else "loss of each batch"
    axes.plot(lr, loss, color=GRAY, linewidth=0.9, alpha=0.8, label=name)
    axes.plot(lr, smoothed, color=BLUE, linewidth=2.2, label="smoothed")
    axes.set_xscale("log")
    axes.set_xlim(lowest / 1.1, highest * 2)  # room for the label of the largest learning rate
    finite = smoothed[np.isfinite(smoothed)]
    if finite.size:
        low, start = finite.min(), finite[: max(1, len(finite) // 10)].max()
        room = max(start - low, 0.1)
        axes.set_ylim(min(low, np.nanmin(loss)) - 0.1 * room, start + 0.6 * room)
    _label_above(axes, sorted(marks.items(), key=lambda mark: mark[1]))
    axes.set_xlabel("learning rate (logarithmic)")
    axes.set_ylabel("held-out loss" if held_out else "training loss")
    add_grid(axes)
    axes.legend(loc="lower left")
    title = f"Range test, {len(lr)} steps; {result.stopped_because}"
    figure.suptitle(textwrap.fill(title, 105), x=0.01, ha="left", fontsize=10.5)
    return figure


def _label_above(axes, marks):
    """Marks learning rates, given in ascending order, by a line up to a label above the plot.

    Each label has a row of its own, the smallest learning rate on top, so that no label can meet
    another label or another label's line.
    """
    edge = axes.get_xaxis_transform()  # x in data, y from 0 (bottom) to 1 (top edge)
    for row, (name, x) in enumerate(marks):
        marker, color = _MARKS.get(name, ("o", BLACK))
        height = 12 + 16 * (len(marks) - 1 - row)  # points above the plot
        raised = edge + ScaledTranslation(0, height / 72, axes.figure.dpi_scale_trans)
        line = {"arrowstyle": "-", "color": color, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x, 0), (x, 1), edge, raised, arrowprops=line)
        axes.plot(
            x,
            1,
            marker,
            color=color,
            markersize=11 if marker == "*" else 8,
            transform=raised,
            markeredgecolor=BLACK,
            markeredgewidth=0.6,
            clip_on=False,
        )
        weight = "bold" if name.endswith("peak") else "normal"
        axes.annotate(
            f"{name}  {x:.3g}",
            (x, 1),
            (9, height),
            edge,
            "offset points",
            va="center",
            weight=weight,
        )


@matplotlib.rc_context(STYLE)
def plot_peak_study(peaks, accuracies, suggestions, proposed):
    """Draws the final held-out accuracy against the peak learning rate of one-cycle.

    Args:
        peaks: (n,) peak learning rates, > 0.
        accuracies: n sequences of accuracies in 0..1, one for each seed; their lengths may differ.
        suggestions: named tuple of learning rates, marked below the curve; NaN is left out.
        proposed: float, the peak that the range test proposes.

    Returns:
        The figure.

    Raises:
        ValueError: on no peak, unequal numbers, or a peak without an accuracy.
    """
    peaks = check_shape(peaks, (None,), "peaks", "train with at least one peak")
    if len(accuracies) != len(peaks) or not all(len(group) for group in accuracies):
        raise ValueError(
            f"accuracies must hold at least one value for each of {len(peaks)} peaks, got "
            f"{[len(group) for group in accuracies]}."
        )
    percent = [100 * np.asarray(group) for group in accuracies]
    means = [group.mean() for group in percent]
    best = int(np.argmax(means))
    figure, axes = make_figure(
        4.2,
        f"Final held-out accuracy against the peak learning rate: best {means[best]:.1f} % at "
        f"{peaks[best]:.3g}; the range test proposes {proposed:.3g}",
    )
    for peak, group in zip(peaks, percent, strict=True):
        axes.plot([peak] * len(group), group, "o", color=GRAY, markersize=5, alpha=0.8)
    axes.plot(peaks, means, "-", color=BLUE, linewidth=2.2, label="mean; dots are single seeds")
    axes.axvline(proposed, color=VERMILION, label=f"proposed peak {proposed:.3g}")
    for name, x in suggestions._asdict().items():
        if np.isfinite(x):
            marker, color = _MARKS.get(name, ("o", BLACK))
            axes.plot(
                x,
                0.03,
                marker,
                color=color,
                markeredgecolor=BLACK,
                markersize=8,
                linestyle="none",
                transform=axes.get_xaxis_transform(),
                label=f"{name} {x:.3g}",
            )
    axes.set_xscale("log")
    axes.set_xlabel("peak learning rate (logarithmic)")
    axes.set_ylabel("held-out accuracy (%)")
    add_grid(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
