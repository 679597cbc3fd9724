"""A photo of your own: what the network is shown, and what it makes of it."""

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle

from utils.figures.style import (
    BLACK,
    BLUE,
    STYLE,
    WIDTH,
    check_shape,
    make_figure,
    rgb_pixels,
    show_image,
)


@matplotlib.rc_context(STYLE)
def plot_photo(photo, small, overlay_photo, probabilities, class_names, top=3):
    """Draws a photo with its map, beside what the network was shown and what it makes of it.

    Args:
        photo: (H, W, 3) uint8, the photo; the central square is marked.
        small: (h, w, 3) uint8, the square as the network sees it.
        overlay_photo: (H, W, 3) uint8, the photo with the map over its square.
        probabilities: (classes,) floats in 0..1.
        class_names: as many names.
        top: int >= 1, how many of the most probable classes to show.

    Returns:
        The figure.

    Raises:
        ValueError: on pictures of different size, another number of names, or top < 1.
    """
    photo, overlay_photo = rgb_pixels(photo, "photo", 3), rgb_pixels(overlay_photo, "overlay", 3)
    if photo.shape != overlay_photo.shape:
        raise ValueError(
            f"photo and overlay must have one size, got {photo.shape} and {overlay_photo.shape}."
        )
    if top < 1:
        raise ValueError(f"top must be 1 or more, got {top}.")
    odds = check_shape(probabilities, (len(class_names),), "probabilities", "one for each class")
    best = np.argsort(-odds, kind="stable")[:top]
    height, width = photo.shape[:2]
    across = min(max(width / height, 0.6), 3.0)  # of a strip a part of the panel stays empty
    shares = [across, 1.0, across, 0.9]  # widths of the panels at one height
    figure, panels = make_figure(
        min((WIDTH - 0.5) / sum(shares) + 0.4, 6.0),
        "Photo, what the network sees, Grad-CAM over the photo, and the most probable classes: "
        + ", ".join(f"{class_names[one]} {100 * odds[one]:.0f} %" for one in best),
        1,
        4,
        photographic=True,
        width_ratios=shares,
    )
    show_image(panels[0], photo, "photo, square in use")
    side = min(height, width)
    corner = ((width - side) / 2 - 0.5, (height - side) / 2 - 0.5)
    for color, line in ((BLACK, 3.5), ("white", 1.5)):  # readable on any ground
        frame = Rectangle(corner, side, side, fill=False, edgecolor=color, linewidth=line)
        panels[0].add_patch(frame)
    show_image(panels[1], rgb_pixels(small, "small", 3), "what the network sees")
    show_image(panels[2], overlay_photo, f"evidence for {class_names[best[0]]}")
    axes = panels[3]
    axes.barh(range(len(best)), 100 * odds[best], color=BLUE, height=0.5)
    for row, one in enumerate(best):
        text = f"{class_names[one]} {100 * odds[one]:.1f} %"
        axes.text(0, row - 0.3, text, va="bottom", fontsize=10)
    axes.set_ylim(len(best) - 0.6, -0.9)
    axes.set_xlim(0, 100)
    axes.set_title("confidence", fontsize=10, loc="center")
    axes.set_box_aspect(1 / shares[3])  # as high as the pictures
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return figure
