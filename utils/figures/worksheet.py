"""Drawings of the worksheet: how far a position sees, and how a Grad-CAM map is added up."""

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle

from utils.figures.style import BLUE, GREEN, PURPLE, STYLE, VERMILION, check_shape, make_figure

_SQUARES = ((GREEN, "-"), (BLUE, "--"), (VERMILION, "-."), (PURPLE, ":"))


@matplotlib.rc_context(STYLE)
def plot_receptive_field(names, fields):
    """Draws the receptive fields of the position in the middle, to scale, over the image.

    Args:
        names: at most 4 names of places in the network, from the first to the last.
        fields: as many ints >= 1, the side of the square of pixels that a position there sees.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal numbers, none or more than 4.
    """
    if not 1 <= len(names) == len(fields) <= len(_SQUARES):
        raise ValueError(
            f"names and fields must be equally many, 1 to {len(_SQUARES)}, got {len(names)} names "
            f"and {len(fields)} fields."
        )
    side = 32  # of an image of CIFAR-10, in pixels
    squares = [f"{field} pixels ({name})" for name, field in zip(names, fields)]
    figure, axes = make_figure(
        4.6,
        f"An image of {side} by {side} pixels, and around its middle, to scale, squares with "
        f"sides of {', '.join(squares)}",
    )
    half, whole = side / 2, max(*fields, side)
    axes.add_patch(Rectangle((-half, -half), side, side, color="#d4d4d4", zorder=0))
    edges = np.linspace(-half, half, side + 1)  # of the pixels
    axes.vlines(edges, -half, half, color="white", linewidth=0.6, zorder=1)
    axes.hlines(edges, -half, half, color="white", linewidth=0.6, zorder=1)
    labels = [(f"image: {side} x {side} pixels", half, "#666666")]
    for (color, line), name, field in zip(_SQUARES, names, fields):
        look = {"color": color, "linestyle": line, "linewidth": 2.2, "fill": False}
        axes.add_patch(Rectangle((-field / 2, -field / 2), field, field, **look))
        wider = ", wider than the image" if field > side else ""
        labels.append((f"{name}: {field} x {field}{wider}", field / 2, color))
    # From the smallest square, in the middle of the drawing, to the largest, at its top.
    labels.sort(key=lambda label: label[1])
    for (text, reach, color), row in zip(labels, np.linspace(0, 0.46, len(labels)) * whole):
        axes.annotate(
            text,
            (reach, min(row, reach)),
            (0.56 * whole, row),
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "lw": 1.2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
    axes.set_xlim(-0.52 * whole, 1.34 * whole)
    axes.set_ylim(-0.52 * whole, 0.52 * whole)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


@matplotlib.rc_context(STYLE)
def plot_weighted_sum(maps, weights, raw_map):
    """Draws Grad-CAM's sum with its numbers: weighted channels, sum, ReLU, normalized map.

    Args:
        maps: (rows, columns, K), activations of 1 to 3 channels.
        weights: (K,) weight of each channel.
        raw_map: (rows, columns) weighted sum, before the ReLU.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit each other.
    """
    maps = check_shape(maps, (None, None, None), "maps", "pass one image's activations")
    weights = check_shape(weights, maps.shape[2:], "weights", "one weight for each channel")
    raw_map = check_shape(raw_map, maps.shape[:2], "raw_map", "pass the weighted sum")
    positive = np.maximum(raw_map, 0)
    signs = [
        "" if k == 0 and w >= 0 else "+ " if w >= 0 else "\u2212 " for k, w in enumerate(weights)
    ]
    panels = [
        (f"{sign}{_number(abs(w))} ·", maps[:, :, k], "gray")
        for k, (sign, w) in enumerate(zip(signs, weights))
    ]
    panels += [("=", raw_map, "signed"), ("ReLU:", positive, "signed")]
    panels += [("divided by\nits largest:", positive / max(positive.max(), 1e-12), "signed")]
    figure, all_axes = make_figure(
        1.7,
        "Grad-CAM's sum in numbers: the channels with their weights "
        f"{' and '.join(map(_number, weights))}, their weighted sum {_rows(raw_map)}, after the "
        f"ReLU {_rows(positive)}, divided by its largest value {_rows(panels[-1][1])}",
        1,
        len(panels),
    )
    names = [f"channel {chr(ord('A') + k)}" for k in range(len(weights))]
    names += ["weighted sum", "evidence for", "normalized"]
    for axes, (sign, values, kind), name in zip(all_axes, panels, names, strict=True):
        limit = max(np.abs(values).max(), 1e-12)
        for (row, column), value in np.ndenumerate(values):
            _cell(axes, row, column, value, value / limit, kind)
        axes.set_xlim(-1.6, values.shape[1])
        axes.set_ylim(values.shape[0], -0.5)  # rows count downwards, as in a matrix
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.text(values.shape[1] / 2, -0.15, name, ha="center", va="bottom", fontsize=10)
        axes.text(-0.12, values.shape[0] / 2, sign, ha="right", va="center")
    return figure


def _cell(axes, row, column, value, share, kind):
    """One number in its square: the larger, the darker; orange speaks for, purple against."""
    name = "Greys" if kind == "gray" else "PuOr_r"
    color = matplotlib.colormaps[name](0.45 * share if kind == "gray" else 0.5 + 0.32 * share)
    axes.add_patch(
        Rectangle((column, row), 1, 1, facecolor=color, edgecolor="#666666", clip_on=False)
    )
    axes.text(column + 0.5, row + 0.5, _number(value), ha="center", va="center", fontsize=9)


def _number(value):
    return f"{value:.3g}".replace("-", "\u2212")


def _rows(values):
    return "; ".join(", ".join(map(_number, row)) for row in values)
