"""Training images as the notebook first shows them: by class, and augmented."""

import matplotlib
import numpy as np

from utils.figures.style import (
    STYLE,
    WIDTH,
    check_shape,
    make_figure,
    rgb_pixels,
    show_image,
)

_GAP = 2  # white pixels between the images of a mosaic


@matplotlib.rc_context(STYLE)
def plot_class_grid(images, labels, class_names, per_class=8):
    """Draws images of every class, one class a column.

    Args:
        images: (N, h, w, 3), uint8 or float pixels in 0..255.
        labels: (N,) ints, positions in `class_names`.
        class_names: names of the classes.
        per_class: int >= 1, images of each class; fewer where the smallest class has fewer.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit, when a class has no image, or per_class < 1.
    """
    images = rgb_pixels(images, "images", 4)
    labels = check_shape(labels, (len(images),), "labels", "one for each image")
    rng = np.random.default_rng(0)  # the same images every time
    members = [np.flatnonzero(labels == label) for label in range(len(class_names))]
    fewest = min(members, key=len)
    if per_class < 1 or not len(fewest):
        counts = [f"{len(found)} of {name}" for name, found in zip(class_names, members)]
        raise ValueError(
            f"Each class needs an image, and per_class must be at least 1; got {per_class} and "
            f"{', '.join(counts)}."
        )
    per_class = min(per_class, len(fewest))
    columns = [images[rng.choice(found, per_class, replace=False)] for found in members]
    width = images.shape[2] + _GAP
    return _captioned(
        _mosaic(np.stack(columns, axis=1)),
        [(column * width + images.shape[2] / 2, name) for column, name in enumerate(class_names)],
        f"{per_class} images of each class: {', '.join(class_names)}",
    )


@matplotlib.rc_context(STYLE)
def plot_augmentation(before, after):
    """Draws a few images (left column) beside several augmented draws of each.

    Args:
        before: (N, h, w, 3), uint8 or float pixels in 0..255.
        after: (N, draws, h, w, 3), the same; floats outside 0..255 are clipped, as on a screen.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit each other, or on NaN.
    """
    before, after = rgb_pixels(before, "before", 4), rgb_pixels(after, "after", 5)
    count, draws, height, width, _ = after.shape
    check_shape(before, (count, height, width, 3), "before", "one original for each row of after")
    originals, drawn = _mosaic(before[:, None]), _mosaic(after)
    space = np.full((len(drawn), width // 4 + 2 * _GAP, 3), 255, "uint8")
    left = originals.shape[1] + space.shape[1]
    return _captioned(
        np.concatenate([originals, space, drawn], axis=1),
        [
            (width / 2, "original"),
            (
                left + drawn.shape[1] / 2,
                f"{draws} augmented draws, as the network sees them in training",
            ),
        ],
        f"{count} images and {draws} augmented draws of each",
    )


def _mosaic(images):
    """Tiles images (rows, columns, h, w, 3) on white."""
    rows, columns, height, width, _ = images.shape
    padded = np.full((rows, columns, height + _GAP, width + _GAP, 3), 255, "uint8")
    padded[:, :, :height, :width] = images
    tiled = padded.transpose(0, 2, 1, 3, 4).reshape(
        rows * (height + _GAP), columns * (width + _GAP), 3
    )
    return tiled[:-_GAP, :-_GAP]


def _captioned(mosaic, captions, description):
    """Figure of a mosaic with captions, (position in pixels from the left edge, text), above it."""
    height = WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.3
    figure, axes = make_figure(height, description, photographic=True)
    show_image(axes, mosaic)
    positions, texts = zip(*captions, strict=True)
    axes.set_xticks(np.array(positions) - 0.5, texts)  # a pixel's center has its number
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=2)
    return figure
