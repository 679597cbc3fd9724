"""Heatmaps as pictures: normalize them, resize them, lay them over their image."""

import difflib

import cv2
import matplotlib
import numpy as np

from utils.explain.checks import is_int, to_array


def normalize_maps(maps):
    """Divides each map by its largest absolute value; a map of zeros is left as is.

    Args:
        maps: float (N, h, w).

    Returns:
        The same shape and dtype (float32 for float16), in -1..1; maps >= 0 end in 0..1.

    Raises:
        ValueError: on another form.
    """
    maps = _check_maps(maps)
    peak = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def resize_maps(maps, size):
    """Resizes maps, bilinear between pixel centers.

    Args:
        maps: float (N, h, w).
        size: (height, width) of the result in pixels.

    Returns:
        (N, height, width), the same dtype (float32 for float16).

    Raises:
        ValueError: on another form.
    """
    maps = _check_maps(maps)
    if not (len(np.shape(size)) == 1 and len(size) == 2 and all(is_int(one, 1) for one in size)):
        raise ValueError(f"size must be (height, width), two ints >= 1, got {size!r}.")
    height, width = map(int, size)
    return np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in maps])


def _check_maps(maps):
    maps = to_array(maps, "maps")
    if maps.ndim != 3 or maps.dtype.kind != "f" or not maps.size:
        raise ValueError(
            f"maps must be float (N, h, w), N >= 1, got {maps.dtype} {maps.shape}. For one map "
            "pass heatmap[None]."
        )
    return maps.astype("float32") if maps.dtype == "float16" else maps  # OpenCV knows no float16


def overlay(image, heatmap, *, size=256, colormap="inferno", max_opacity=0.6):
    """Draws a map over its image at display resolution.

    Image and map are enlarged before they are mixed, so the picture is smooth although CIFAR
    images have 32 and their maps 8 pixels a side. Opacity follows the heat: where the map is zero
    the image is untouched.

    Args:
        image: square, (side, side, 3) RGB or (side, side, 1) or (side, side) gray, uint8 or float
            in 0..255.
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
    image = to_array(image, "image")
    if image.dtype.kind not in "uif":
        raise ValueError(f"image must be numbers (uint8 or float), got {image.dtype}.")
    whole = image.dtype.kind in "ui"
    image, heatmap = image.astype("float32"), to_array(heatmap, "heatmap").astype("float32")
    if image.ndim == 2 or image.shape[2:] == (1,):
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)  # gray
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1]:
        raise ValueError(
            f"image must be square RGB (side, side, 3), got {image.shape}. Cut a square first: "
            "utils.explain.photo.center_square."
        )
    if not (image.size and np.isfinite(image).all() and 0 <= image.min() <= image.max() <= 255):
        raise ValueError("image must be finite and in 0..255.")
    if not whole and 0 < image.max() <= 1:
        raise ValueError(
            f"image must be in 0..255, got floats up to {image.max():.3g}, which would be drawn "
            "black: pass 255 * image."
        )
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
    number = isinstance(max_opacity, (int, float, np.integer, np.floating))
    if not (is_int(size, 1) and number and 0 <= max_opacity <= 1):
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
