"""How time and memory grow with the size of a problem: small panels on one figure."""

from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator

from utils.figures.style import BLUE, GRAY, STYLE, add_grid, make_figure

COLUMNS = 3  # panels beside each other


class Panel(NamedTuple):
    """One quantity against one size.

    Attributes:
        x_label: str, the size that varies, with its unit, such as "images".
        y_label: str, the quantity that is measured, with its unit, such as "time (s)".
        x: (n,) the sizes in ascending order, n >= 2, > 0.
        median, low, high: (n,) median and range of the measurements at each, > 0.
    """

    x_label: str
    y_label: str
    x: list
    median: list
    low: list
    high: list


@matplotlib.rc_context(STYLE)
def plot_scaling(panels):
    """Draws measurements against sizes on logarithmic axes, where a power law is a straight line.

    A dotted gray line in each panel shows growth in proportion to the size, through the first
    point: a curve below it grows more slowly.

    Args:
        panels: `Panel`s, one or more, drawn row by row.

    Returns:
        The figure.
    """
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, cells = make_figure(2.5 * rows + 0.5, _describe(panels), rows, columns, squeeze=False)
    for axes, panel in zip(cells.flat, panels, strict=False):
        handles = _draw_panel(axes, panel)
    for axes in cells.flat[len(panels) :]:
        axes.set_axis_off()
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.0)
    return figure


def _draw_panel(axes, panel):
    """Draws a panel; returns its lines for the legend."""
    x, median = np.array(panel.x, float), np.array(panel.median, float)
    (curve,) = axes.plot(x, median, color=BLUE, marker="o", label="ours")
    axes.fill_between(x, panel.low, panel.high, color=BLUE, alpha=0.2, linewidth=0)
    ends = x[[0, -1]]
    look = {"color": GRAY, "linestyle": ":", "linewidth": 1.2, "zorder": 1}
    (guide,) = axes.plot(ends, median[0] * ends / x[0], label="in proportion", **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(x, [f"{size:,.6g}" for size in x])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_xlabel(panel.x_label)
    axes.set_title(panel.y_label)
    add_grid(axes)
    return [curve, guide]


def _describe(panels):
    """How each curve grows from its first to its last size, in words."""
    grown = [
        f"{one.y_label} by {one.x_label}: {_rounded(one.median[0])} at {one.x[0]:,.6g}, "
        f"{_rounded(one.median[-1])} at {one.x[-1]:,.6g}"
        for one in panels
    ]
    return "Growth of time and memory: " + "; ".join(grown)


def _rounded(value):
    """Three significant digits, never with an exponent: a description is read aloud."""
    return f"{float(f'{value:.3g}'):,.15g}"
