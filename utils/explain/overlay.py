"""Heat maps as pictures: normalize them, resize them, lay them over their image."""

import difflib

import cv2
import matplotlib
import numpy as np


def normalize_maps(maps):
    """Divides each map by its largest absolute value; a map of zeros is left as is.

    Args:
        maps: float (N, h, w).

    Returns:
        The same shape and dtype, in -1..1; maps >= 0 end in 0..1.
    """
    peak = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def resize_maps(maps, size):
    """Resizes maps, bilinear between pixel centers.

    Args:
        maps: float (N, h, w).
        size: (height, width) of the result in pixels.

    Returns:
        (N, height, width), the same dtype.
    """
    height, width = size
    return np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in maps])


def overlay(image, heatmap, *, size=256, colormap="inferno", max_opacity=0.6):
    """Draws a map over its image at display resolution.

    Image and map are enlarged before they are mixed, so the picture is smooth although CIFAR
    images have 32 and their maps 8 pixels a side. Opacity follows the heat: where the map is zero
    the image is untouched.

    Args:
        image: square RGB, (side, side, 3), uint8 or float in 0..255.
        heatmap: (h, w) of any resolution, in 0..1.
        size: int >= 1, side of the result in pixels.
        colormap: name of a Matplotlib colormap. The default is perceptually even and readable for
            the color-blind; `"jet"` is what the Grad-CAM paper used.
        max_opacity: 0..1, opacity of the color where the map is 1.

    Returns:
        uint8 RGB (size, size, 3).

    Raises:
        ValueError: on a wrong shape or range or an unknown colormap.
    """
    image, heatmap = np.asarray(image, "float32"), np.asarray(heatmap, "float32")
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1]:
        raise ValueError(
            f"image must be square RGB (side, side, 3), got {image.shape}. Cut a square first: "
            "utils.explain.photo.center_square."
        )
    if not (image.size and np.isfinite(image).all() and 0 <= image.min() <= image.max() <= 255):
        raise ValueError("image must be finite and in 0..255.")
    if heatmap.ndim != 2 or not heatmap.size:
        raise ValueError(f"heatmap must be one map (h, w), got shape {heatmap.shape}.")
    if not (0 <= heatmap.min() <= heatmap.max() <= 1):
        raise ValueError(
            f"heatmap must be in 0..1, got {heatmap.min()} to {heatmap.max()}; use "
            "grad_cam(..., normalize=True)."
        )
    if colormap not in matplotlib.colormaps:
        close = difflib.get_close_matches(str(colormap), matplotlib.colormaps) or ["inferno", "jet"]
        raise ValueError(f"Unknown colormap {colormap!r}; did you mean one of {close}?")
    whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if not (whole and size >= 1 and 0 <= max_opacity <= 1):
        raise ValueError(
            f"size must be an int >= 1 and max_opacity in 0..1, got {size!r} and {max_opacity!r}."
        )
    # Cubic enlarges without visible blocks or diamonds, area reduces without aliasing.
    image, heat = (
        cv2.resize(
            array,
            (size, size),
            interpolation=cv2.INTER_CUBIC if size >= max(array.shape[:2]) else cv2.INTER_AREA,
        ).clip(0, top)
        for array, top in ((image, 255), (heatmap, 1))
    )
    color = 255 * matplotlib.colormaps[colormap](heat)[..., :3]  # RGBA -> RGB, as the image
    opacity = (max_opacity * heat)[..., None]
    return np.rint(image + opacity * (color - image)).astype("uint8")
