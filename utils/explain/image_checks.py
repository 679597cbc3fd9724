"""Images as a model takes them; others are refused by what makes such images of them."""

import numpy as np

from utils.data.image_arrays import ROUNDING
from utils.explain.checks import to_array

OVERSHOOT = 64  # by which cubic and Lanczos resizing may, beside an edge, and no other units do
CHANNELS = {1: "gray", 3: "RGB", 4: "RGBA"}
TO_CHANNELS = {
    (1, 3): "np.repeat(images, 3, axis=-1)",
    (4, 3): "images[..., :3]",
    (3, 1): "images.mean(axis=-1, keepdims=True)",
    (4, 1): "images[..., :3].mean(axis=-1, keepdims=True)",
}


def images_for_model(images, shape, dtype, takes_pixels=False):
    """The images as a model takes them: `checked_images`, and these `as_input`."""
    return as_input(checked_images(images, shape, dtype, takes_pixels), dtype)


def as_input(images, dtype):
    """Images in the dtype of a model's input, floats rounded for whole pixels."""
    return (images.round() if "int" in dtype else images).astype(dtype, copy=False)


def checked_images(images, shape, dtype, takes_pixels=False):
    """Images that a model can take, still in their own dtype: of many, a batch at a time is cast.

    Args:
        images: array, tensor or list of images, (N, height, width, channels); without the last
            axis where the model takes one channel.
        shape: shape of the model's input, with the batch.
        dtype: str, of the model's input.
        takes_pixels: bool, whether the model itself scales pixels of 0..255.

    Returns:
        Array (N, height, width, channels).

    Raises:
        ValueError: on another form or shape, no image, NaN, infinity, or values that are not in
            0..255 for a model that takes pixels.
    """
    images, wanted = to_array(images, "images"), shape[1:]
    gray = len(wanted) == 3 and wanted[-1] == 1 and images.ndim == 3
    if gray and (images.shape[-1] not in CHANNELS or images.shape[1:] == wanted[:2]):
        images = images[..., None]  # as Keras itself takes gray images
    fits = images.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(wanted, images.shape[1:], strict=True)
    )
    if not fits or not len(images):
        raise ValueError(
            f"images must have shape (N, {', '.join(map(str, wanted))}) with N >= 1, got "
            f"{images.shape}.{_shape_remedy(images.shape, wanted)}"
        )
    if images.dtype.kind not in "uif":
        raise ValueError(f"images must be numbers (uint8 or float), got {images.dtype}.")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(images), -1)).all(axis=1))
        raise ValueError(f"images must be finite, got NaN or infinity in images {bad[:10]}.")
    if takes_pixels or ("int" in dtype and images.dtype.name != dtype):
        low, high = images.min(), images.max()
        top = 255 if takes_pixels else np.iinfo(dtype).max
        scaled = high <= 1 and not np.allclose(images, images.round(), rtol=0, atol=ROUNDING)
        if low < -ROUNDING or high > top + ROUNDING or scaled:
            resized = -OVERSHOOT <= low and OVERSHOOT < high <= 255 + OVERSHOOT and top == 255
            raise ValueError(
                f"The model takes pixels in 0..{top}, got values from {low} to {high}. Pass "
                "raw pixels: the model normalizes them itself."
                + (" After resizing pass np.clip(images, 0, 255)." if resized else "")
            )
    return images


def _shape_remedy(shape, wanted):
    """What to do about images of a wrong shape, as the end of a sentence."""

    def fits(shape, wanted):
        return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted))

    if fits(shape, wanted):
        return " For one image pass image[None]."
    if len(wanted) != 3 or 0 in shape:
        return ""
    *size, channels = wanted
    last_is_channels = shape[-1] in CHANNELS
    if len(shape) == 4 and shape[1] == channels and not last_is_channels and fits(shape[2:], size):
        return " Channels stand last: pass np.transpose(images, (0, 2, 3, 1))."
    if fits(shape[1:-1], size) or (last_is_channels and fits(shape[:-1], size)):
        remedy = TO_CHANNELS.get((shape[-1], channels))
        return (
            f" The model takes {_channels(channels)}, these have {_channels(shape[-1])}"
            + (f": pass {remedy}." if remedy else ".")
            + (" One image is image[None]." if len(shape) == 3 else "")
        )
    if len(shape) == 3 and fits(shape[1:], size):
        return " Without channels they are gray: pass np.repeat(images[..., None], 3, axis=-1)."
    if len(shape) == 4 and shape[-1] == channels and None not in size:
        return f" Resize them: keras.ops.image.resize(images, {tuple(size)})."
    return ""


def _channels(count):
    return f"{count} channels ({CHANNELS[count]})" if count in CHANNELS else f"{count} channels"
