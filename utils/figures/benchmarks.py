"""How time and memory grow with the size of a problem: small panels on one figure."""

from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from utils.figures.style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    STYLE,
    add_grid,
    check_shape,
    make_figure,
)

_LOOKS = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D"))


class Panel(NamedTuple):
    """One quantity against one size.

    Attributes:
        x_label: str, the size that varies, with its unit, such as "images".
        y_label: str, the quantity that is measured, with its unit, such as "time (s)".
        curves: dict of a variant's name to (x, median, low, high), each (n,) and > 0, n >= 2: the
            sizes in ascending order, and median and range of the measurements at each.
    """

    x_label: str
    y_label: str
    curves: dict


@matplotlib.rc_context(STYLE)
def plot_scaling(panels, columns=3):
    """Draws measurements against sizes on logarithmic axes, where a power law is a straight line.

    A dotted gray line in each panel shows growth in proportion to the size, through the first
    point of the first variant: a curve below it grows more slowly.

    Args:
        panels: `Panel`s (or tuples of their three fields), drawn row by row. A variant looks the
            same in all of them; together they may have 4.
        columns: int >= 1, panels beside each other.

    Returns:
        The figure.

    Raises:
        ValueError: on no panel or curve, more than 4 variants, arrays of unequal lengths, values
            that are not finite and > 0, or a median outside of its range.
    """
    panels = [Panel(*panel) for panel in panels]
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    if not panels or not all(panel.curves for panel in panels) or columns < 1:
        raise ValueError(
            f"plot_scaling needs columns >= 1 and panels with a curve each, got {columns} columns "
            f"and panels with {[len(panel.curves) for panel in panels]} curves."
        )
    if len(names) > len(_LOOKS):
        raise ValueError(f"plot_scaling can tell {len(_LOOKS)} variants apart, got {names}.")
    looks = dict(zip(names, _LOOKS, strict=False))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, cells = make_figure(2.5 * rows + 0.5, _describe(panels), rows, columns, squeeze=False)
    handles = {}
    for axes, panel in zip(cells.flat, panels, strict=False):
        handles |= _draw_panel(axes, panel, looks)
    for axes in cells.flat[len(panels) :]:
        axes.set_axis_off()
    handles["in proportion"] = handles.pop("in proportion")  # last in the legend
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=len(handles), handlelength=3.0
    )
    return figure


def _draw_panel(axes, panel, looks):
    """Draws a panel's curves; returns a dict of name to line for the legend."""
    handles = {}
    for name, arrays in panel.curves.items():
        x, median, low, high = _checked(arrays, f"{name} of {panel.y_label!r}")
        color, line, marker = looks[name]
        (handles[name],) = axes.plot(x, median, color=color, linestyle=line, marker=marker)
        axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        if "in proportion" not in handles:
            ends = x[[0, -1]]
            (handles["in proportion"],) = axes.plot(
                ends, median[0] * ends / x[0], color=GRAY, linestyle=":", linewidth=1.2, zorder=1
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({float(x) for arrays in panel.curves.values() for x in arrays[0]})
    axes.set_xticks(sizes, [f"{size:,.6g}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_xlabel(panel.x_label)
    axes.set_title(panel.y_label)
    add_grid(axes)
    return handles


def _checked(arrays, name):
    """Returns x, median, low and high as float arrays, or raises a ValueError."""
    x, median, low, high = (np.asarray(array, "float64") for array in arrays)
    check_shape(x, (None,), f"x of {name}", "pass the sizes that were measured")
    if len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"x of {name} must hold two or more ascending sizes, got {x.tolist()}.")
    for array, what in ((median, "median"), (low, "low"), (high, "high")):
        check_shape(array, x.shape, f"{what} of {name}", "one value for each size")
    values = np.concatenate([x, median, low, high])
    if not (np.isfinite(values).all() and values.min() > 0):
        raise ValueError(
            f"{name} must be finite and > 0 to be drawn on logarithmic axes, got {values.min()}."
        )
    if not ((low <= median) & (median <= high)).all():
        bounds = low.tolist(), median.tolist(), high.tolist()
        raise ValueError(
            "{} must have low <= median <= high, got {}, {}, {}.".format(name, *bounds)
        )
    return x, median, low, high


def _describe(panels):
    """How each curve grows from its first to its last size, in words."""
    grown = [
        f"{panel.y_label} by {panel.x_label}, {name}: {_rounded(median[0])} at {x[0]:,.6g}, "
        f"{_rounded(median[-1])} at {x[-1]:,.6g}"
        for panel in panels
        for name, (x, median, _, _) in panel.curves.items()
    ]
    return "Growth of time and memory: " + "; ".join(grown)


def _rounded(value):
    """Three significant digits, never with an exponent: a description is read aloud."""
    return f"{float(f'{value:.3g}'):,.15g}"
