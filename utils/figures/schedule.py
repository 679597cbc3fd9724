"""The schedule: learning rate and momentum of every step."""

from itertools import pairwise

import matplotlib
import numpy as np

from utils.figures.style import BLUE, STYLE, VERMILION, add_grid, check_shape, make_figure


@matplotlib.rc_context(STYLE)
def plot_schedule(lr, momentum, steps_per_epoch):
    """Draws learning rate and momentum of every step, with the knots of the schedule.

    Args:
        lr: (steps,) learning rate of each step.
        momentum: (steps,) momentum of each step.
        steps_per_epoch: int >= 1.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal lengths or steps_per_epoch < 1.
    """
    lr = check_shape(lr, (None,), "lr", "pass the value of every step")
    momentum = check_shape(momentum, lr.shape, "momentum", "one value for each step")
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, got {steps_per_epoch}.")
    figure, panels = make_figure(
        4.8,
        "Learning rate and momentum of every step: "
        f"rate {lr[0]:.3g} at first, {lr.max():.3g} at its peak, {lr[-1]:.3g} at the end; "
        f"momentum {momentum[0]:.3g}, {momentum.min():.3g} at its lowest, {momentum[-1]:.3g}",
        2,
        sharex=True,
    )
    steps = np.arange(len(lr))
    for axes, values, name, color in (
        (panels[0], lr, "learning rate", BLUE),
        (panels[1], momentum, "momentum", VERMILION),
    ):
        axes.plot(steps, values, color=color)
        axes.margins(x=0.12, y=0.28)  # room for the labels of the first and the last step
        axes.set_ylabel(name)
        add_grid(axes)
        knots = _turning_points(values, steps_per_epoch + 1)
        if len(knots) > 6:  # not a schedule of a few phases: the ends and the extremes will do
            knots = sorted({0, int(values.argmax()), int(values.argmin()), len(values) - 1})
        last, high = -len(lr), None
        for knot in knots:
            # A label goes above a high knot and below a low one, unless a neighbor is in the way.
            beside, above = knot - last < 0.2 * len(lr), high
            high = values[knot] >= (values.min() + values.max()) / 2
            high = high != (beside and high == above)
            last = knot
            axes.plot(knot, values[knot], "o", color=color, markersize=5)
            axes.annotate(
                f"step {knot:,}: {values[knot]:.3g}",
                (knot, values[knot]),
                xytext=(0, 7 if high else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if high else "top",
            )
    panels[1].xaxis.set_major_formatter("{x:,.0f}")
    panels[1].set_xlabel(f"step ({steps_per_epoch:,} steps an epoch)")
    epochs = panels[0].secondary_xaxis(
        "top", functions=(lambda x: x / steps_per_epoch, lambda x: x * steps_per_epoch)
    )
    epochs.set_xlabel("epoch")
    return figure


def _turning_points(values, plateau):
    """Indices where a curve starts, turns, enters or leaves a flat part, and ends."""
    if len(values) < 2:
        return [0]
    change = np.diff(values)
    sign = np.sign(np.where(np.abs(change) > 1e-12 * np.ptp(values), change, 0.0))
    bounds = np.flatnonzero(np.diff(sign)) + 1
    runs = np.split(np.arange(len(sign)), bounds)
    # A schedule that moves once an epoch is flat within each epoch: that is no turning point.
    runs = [run for run in runs if sign[run[0]] or len(run) >= plateau]
    knots = [0, len(values) - 1]
    for last, run in pairwise(runs):
        if sign[last[0]] != sign[run[0]]:
            knots.append(int(run[0]))
    return sorted(set(knots))
