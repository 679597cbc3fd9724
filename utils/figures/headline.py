"""The figure at the head of README: accuracy by epoch, and below it two images with their maps."""

import matplotlib
import numpy as np

from utils.figures.learning_curves import to_percent
from utils.figures.style import (
    BLUE,
    GRAY,
    LARGE,
    PURPLE,
    add_grid,
    make_figure,
    rgb_pixels,
)

_LEGEND = {"loc": "outside upper left", "handlelength": 2.5, "labelspacing": 0.3}
_LAST = 5  # epochs, which the second panel shows larger
_LOOKS = ((BLUE, "-", 3.0), (GRAY, "-", 2.0), (PURPLE, (0, (4, 1.5)), 2.0))


@matplotlib.rc_context(LARGE)
def plot_headline(accuracies, strip=None, strip_text=""):
    """Draws the test accuracy of every epoch of up to three runs, and the last epochs once more.

    The first run stands in front.

    Args:
        accuracies: dict of a run's name to its accuracies (n,), 0..1, one an epoch; the legend
            gives the last one of each.
        strip: uint8 (h, 900, 3), a picture to stand below, pixel for pixel, such as that of
            `plot_examples`; None for none.
        strip_text: str, what the strip shows, for readers who cannot see it.

    Returns:
        The figure.

    Raises:
        ValueError: on no run, more than three, accuracies outside 0..1, or a strip of another
            width.
    """
    if not 1 <= len(accuracies) <= len(_LOOKS):
        raise ValueError(f"plot_headline draws 1 to {len(_LOOKS)} runs, got {len(accuracies)}.")
    percent = {
        name: to_percent(values, (None,), name, "pass one for each epoch")
        for name, values in accuracies.items()
    }
    finals = "; ".join(f"{name} {values[-1]:.2f} %" for name, values in percent.items())
    text = f"Test accuracy by epoch; after the last one: {finals}."
    if strip is not None:
        strip = rgb_pixels(strip, "strip", 3)
    below = 0 if strip is None else len(strip)
    height = 3.4 + 0.26 * len(percent) + below / 100
    figure, (whole, end) = make_figure(
        height, f"{text} {strip_text}".strip(), 1, 2, width_ratios=(2, 1)
    )
    if strip is not None:
        if strip.shape[1] != figure.bbox.width:
            raise ValueError(f"strip must be {figure.bbox.width:.0f} pixels wide: {strip.shape}.")
        share = below / figure.bbox.height
        figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))
        figure.figimage(strip, 0, 0)
    for axes, title in ((whole, "test accuracy (%)"), (end, "the last epochs")):
        for look, (name, values) in zip(_LOOKS, percent.items()):
            _draw_run(axes, values, look, f"{values[-1]:.2f} %  {name}")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
        axes.margins(x=0.03)
        add_grid(axes)
    whole.set_ylim(min(20, 5 * (min(map(min, percent.values())) // 5)), 100)
    last = max(map(len, percent.values()))
    first = max(last - _LAST, 1)
    shown = np.concatenate([values[first - 1 :] for values in percent.values()])
    end.set_xlim(first - 0.3, last + 0.3)
    end.set_ylim(shown.min() - 0.5, shown.max() + 0.5)
    figure.legend(*whole.get_legend_handles_labels(), **_LEGEND)
    return figure


def _draw_run(axes, values, look, label):
    color, line, width = look
    marker = "o" if len(values) < 12 else ""
    look = {"color": color, "linestyle": line, "linewidth": width, "marker": marker}
    axes.plot(np.arange(1, len(values) + 1), values, zorder=width, label=label, **look)


@matplotlib.rc_context(LARGE)
def plot_examples(groups):
    """Draws a few images, each beside its maps, in one row.

    Args:
        groups: list of (caption, pictures), one for each image; pictures is a list of (label,
            RGB picture, uint8 or floats in 0..255), the image first, then its maps. At most 6
            pictures in all.

    Returns:
        The figure, 900 pixels wide.

    Raises:
        ValueError: on no picture or more than 6.
    """
    count = sum(len(pictures) for _, pictures in groups)
    if not 1 <= count <= 6:
        raise ValueError(f"plot_examples draws 1 to 6 pictures, got {count}.")
    width = count + 0.05 * (count - len(groups)) + 0.3 * (len(groups) - 1)
    side = min(9 / (width + 0.1), 1.6)  # inches
    described = "; ".join(
        f"{caption}; heatmaps {' and '.join(label for label, _ in pictures[1:])}"
        for caption, pictures in groups
    )
    figure, axes = make_figure(
        side + 0.78, f"Grad-CAM of test images: {described}.", photographic=True
    )
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    axes.set_position([0, 0, 1, 1])
    axes.set_in_layout(False)
    axes.set_axis_off()
    left = 0.5 * (9 / side - width)  # the whole row in the middle
    for caption, pictures in groups:
        axes.text(left, -0.07, caption, va="bottom", fontsize=14.5)
        for number, (label, picture) in enumerate(pictures):
            extent = (left, left + 1, 1, 0)
            picture = rgb_pixels(picture, label, 3)
            axes.imshow(picture, extent=extent, interpolation="catrom")
            axes.text(left + 0.5, 1.05, label, ha="center", va="top")
            left += 1.05 if number + 1 < len(pictures) else 1.3
    axes.set_xlim(0, 9 / side)
    axes.set_ylim(1 + 0.38 / side, -0.4 / side)
    return figure
