"""Grad-CAM for many images: each beside its overlays, marked where the prediction is wrong."""

from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle

from utils.figures.style import STYLE, VERMILION, WIDTH, make_figure, rgb_pixels


class Caption(NamedTuple):
    """What `plot_cam_gallery` writes over one image."""

    truth: str | None  # None where it is not known, as for a photo of your own
    predicted: str
    confidence: float  # of the prediction, 0..1

    @property
    def is_wrong(self):
        """Whether the truth is known and another class."""
        return self.truth is not None and self.truth != self.predicted


@matplotlib.rc_context(STYLE)
def plot_cam_gallery(
    images, overlays, captions, columns=4, colormap="inferno", maps=("the prediction",)
):
    """Draws each image beside its overlays, with truth, prediction and confidence.

    A wrong prediction has a thick frame and a cross before its caption, a right one a check
    mark, so that no reader needs to tell colors apart.

    Args:
        images: N images (h, w, 3), uint8 or floats in 0..255.
        overlays: N overlays (H, W, 3) uint8, each an image under its heatmap; or N sequences of
            as many overlays as `maps` has names.
        captions: N `Caption` (or tuples truth, predicted, confidence).
        columns: int >= 1, groups of image and overlays beside each other.
        colormap: Matplotlib name of the heat scale, the one of the overlays.
        maps: what the overlays of an image show evidence for, from left to right.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal numbers, no image at all, or a confidence outside 0..1.
    """
    captions = [Caption(*caption) for caption in captions]
    overlays = [[one] if np.ndim(one) == 3 else list(one) for one in overlays]
    _check(images, overlays, captions, columns, maps)
    rows = -(-len(images) // columns)
    wrong = sum(caption.is_wrong for caption in captions)
    lines = 2 if wrong else 1  # of each caption, so that the images of a row stand level
    side = WIDTH / columns / (1 + len(maps))
    figure, cells = make_figure(
        rows * (side + 0.04 + 0.17 * lines) + 0.68,
        f"Grad-CAM of {len(images)} image{'s' if len(images) > 1 else ''}, {wrong} of them "
        "wrongly classified: "
        + "; ".join(
            f"{c.truth} taken for {c.predicted}" if c.is_wrong else c.predicted for c in captions
        ),
        rows,
        columns,
        photographic=True,
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.0, hspace=0.0)
    for axes in cells.flat:
        axes.set_axis_off()
    for axes, image, group, caption in zip(cells.flat, images, overlays, captions, strict=False):
        _draw_group(axes, [image, *group], caption, lines)
    _add_scale(figure, cells, colormap, maps, captions)
    return figure


def _check(images, overlays, captions, columns, maps):
    if any(len(group) != len(maps) for group in overlays):
        raise ValueError(
            f"plot_cam_gallery needs {len(maps)} overlays for each image, one for each of {maps}, "
            f"got {sorted({len(group) for group in overlays})}."
        )
    if not len(images) == len(overlays) == len(captions) >= 1 or columns < 1:
        raise ValueError(
            f"plot_cam_gallery needs one overlay and one caption for each image and columns >= 1, "
            f"got {len(images)} images, {len(overlays)} overlays, {len(captions)} captions and "
            f"{columns} columns."
        )
    bad = [caption for caption in captions if not 0 <= caption.confidence <= 1]
    if bad:
        raise ValueError(f"The confidence must lie in 0..1, got {bad[0].confidence}: {bad[0]}.")


def _draw_group(axes, pictures, caption, lines):
    """Draws an image and its overlays side by side under their caption."""
    size, gap = 224, 8
    for number, picture in enumerate(pictures):
        picture = rgb_pixels(picture, "overlay" if number else "image", 3)
        height, width = (size * side / max(picture.shape[:2]) for side in picture.shape[:2])
        left, top = number * (size + gap) + (size - width) / 2, (size - height) / 2
        extent = (left, left + width, top + height, top)
        axes.imshow(picture, extent=extent, interpolation="catrom")
    width = len(pictures) * (size + gap) - gap
    axes.set_xlim(-gap, width + gap)
    axes.set_ylim(size + gap, -gap)
    mark = "" if caption.truth is None else "\u2713 "
    text = f"{caption.predicted} {100 * caption.confidence:.0f} %"
    if caption.is_wrong:
        axes.add_patch(
            Rectangle((-5, -5), width + 10, size + 10, fill=False, edgecolor=VERMILION, linewidth=3)
        )
        text = f"\u2717 {text}\n    truth: {caption.truth}"
    else:  # the last line stands right above the image
        text = "\n" * (lines - 1) + mark + text
    axes.set_title(text, fontsize=9.5, linespacing=1.25, pad=2, loc="left")


def _add_scale(figure, cells, colormap, maps, captions):
    """Adds the heat scale below the images, and what the marks mean."""
    bar = figure.colorbar(
        ScalarMappable(cmap=colormap),
        ax=cells,
        orientation="horizontal",
        aspect=60,
        pad=0.01,
        shrink=0.6,
    )
    strongest = f"strongest evidence for {maps[0]}" if len(maps) == 1 else "strongest of each map"
    bar.set_ticks([0, 1], labels=["no evidence", strongest])
    bar.ax.tick_params(length=0)
    bar.ax.get_xticklabels()[0].set_horizontalalignment("left")
    bar.ax.get_xticklabels()[1].set_horizontalalignment("right")
    notes = [f"image, then evidence for {' and for '.join(maps)}"] if len(maps) > 1 else []
    if any(caption.truth is not None and not caption.is_wrong for caption in captions):
        notes.append("\u2713 right")
    if any(caption.is_wrong for caption in captions):
        notes.append("\u2717 wrong, framed")
    notes.append("% is the confidence of the prediction")
    bar.ax.set_xlabel("; ".join(notes), labelpad=1, fontsize=9.5)
