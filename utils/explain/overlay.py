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
        image: (height, width, 3) RGB or (height, width, 1) or (height, width) gray, uint8 or float
            in 0..255.
        heatmap: (h, w) of any resolution, in 0..1, of this very image: its sides are those of the
            image over one number, both rounded up or both rounded down.
        size: int >= 1, the longer side of the result in pixels.
        colormap: name of a Matplotlib colormap. The default is perceptually even and readable for
            the color-blind; `"jet"` is what the Grad-CAM paper used.
        max_opacity: 0..1, opacity of the color where the map is 1.

    Returns:
        uint8 RGB (size, size, 3); of an image that is not square its shorter side is in proportion.

    Raises:
        ValueError: on a wrong shape or range or an unknown colormap.
    """
    image, heatmap = _rgb(image), to_array(heatmap, "heatmap").astype("float32")
    if heatmap.ndim != 2 or not heatmap.size:
        raise ValueError(f"heatmap must be one map (h, w), got shape {heatmap.shape}.")
    if not (0 <= heatmap.min() <= heatmap.max() <= 1):
        raise ValueError(
            f"heatmap must be in 0..1, got {heatmap.min()} to {heatmap.max()}; use "
            "grad_cam(..., normalize=True)."
        )
    if not _is_of(heatmap.shape, image.shape[:2]):
        raise ValueError(
            f"A heatmap of {heatmap.shape} does not fit an image of {image.shape[:2]}, so it "
            "would lie in the wrong place. Draw it over the image that was explained, whole, and "
            'give it the size of that: grad_cam(..., size="input").'
        )
    if colormap not in matplotlib.colormaps:
        close = difflib.get_close_matches(str(colormap), matplotlib.colormaps) or ["inferno", "jet"]
        raise ValueError(f"Unknown colormap {colormap!r}; did you mean one of {close}?")
    number = isinstance(max_opacity, (int, float, np.integer, np.floating))
    if not (is_int(size, 1) and number and 0 <= max_opacity <= 1):
        raise ValueError(
            f"size must be an int >= 1 and max_opacity in 0..1, got {size!r} and {max_opacity!r}."
        )
    height, width = image.shape[:2]
    sides = [max(1, round(side * size / max(height, width))) for side in (width, height)]
    # Cubic enlarges without visible blocks or diamonds, area reduces without aliasing.
    image, heat = (
        cv2.resize(
            array,
            sides,
            interpolation=cv2.INTER_CUBIC if size >= max(array.shape[:2]) else cv2.INTER_AREA,
        ).clip(0, top)
        for array, top in ((image, 255), (heatmap, 1))
    )
    color = 255 * matplotlib.colormaps[colormap](heat)[..., :3]  # RGBA -> RGB, as the image
    opacity = (max_opacity * heat)[..., None]
    return np.rint(image + opacity * (color - image)).astype("uint8")


def _rgb(image):
    """An image as float32 (height, width, 3) in 0..255."""
    image = to_array(image, "image")
    if image.dtype.kind not in "uif":
        raise ValueError(f"image must be numbers (uint8 or float), got {image.dtype}.")
    whole, image = image.dtype.kind in "ui", image.astype("float32")
    if image.ndim == 2 or image.shape[2:] == (1,):
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)  # gray
    if image.ndim != 3 or image.shape[2] != 3:
        remedy = " Of a batch draw each image: image[0]." if image.ndim == 4 else ""
        remedy = " Leave the opacity out: image[..., :3]." if image.shape[2:] == (4,) else remedy
        raise ValueError(
            f"image must be RGB (height, width, 3) or gray, got shape {image.shape}.{remedy}"
        )
    if not (image.size and np.isfinite(image).all() and 0 <= image.min() <= image.max() <= 255):
        raise ValueError("image must be finite and in 0..255.")
    if not whole and 0 < image.max() <= 1:
        raise ValueError(
            f"image must be in 0..255, got floats up to {image.max():.3g}, which would be drawn "
            "black: pass 255 * image."
        )
    return image


def _is_of(shape, image):
    """Whether the sides of a map are those of an image over one number, rounded up or down.

    A map of h rows comes of H rows with a number in (H / (h + 1), H / h] when it is rounded down,
    and in [H / h, H / (h - 1)) when it is rounded up; both sides must leave one in common.
    """
    exact = [whole / part for whole, part in zip(image, shape)]
    above = [whole / (part + 1) for whole, part in zip(image, shape)]
    below = [whole / (part - 1) if part > 1 else np.inf for whole, part in zip(image, shape)]
    return max(above) < min(exact) or max(exact) < min(below)
