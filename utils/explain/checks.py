"""What every explainer checks before it works, and what it returns."""

from typing import NamedTuple

import keras
import numpy as np


class Explanation(NamedTuple):
    """What one pass yields for N images."""

    maps: np.ndarray  # float32 (N, h, w), native resolution, not normalized; >= 0 unless signed
    logits: np.ndarray  # float32 (N, classes); (N, 1) of a model with one logit for two classes
    targets: np.ndarray  # int64 (N,), the class that each map explains; -1: a function's score


def to_array(values, name):
    """An array, a tensor of any backend, or a list of them, as a NumPy array of numbers.

    Raises:
        ValueError: on anything else, such as a `tf.data.Dataset`, a generator, a dictionary, text
            or an array of objects.
    """
    if hasattr(values, "detach"):  # PyTorch
        values = (
            values.detach().cpu().float().numpy()
            if "float" in str(values.dtype)
            else (values.detach().cpu().numpy())
        )
    if keras.ops.is_tensor(values):
        values = keras.ops.convert_to_numpy(values)
    if isinstance(values, (list, tuple)):
        values = _stacked([to_array(one, name) for one in values], name)
    plain = isinstance(values, (int, float, complex, np.generic, str, bytes))
    if (
        not plain
        and not hasattr(values, "__array__")
        and not hasattr(values, "__array_interface__")
    ):
        remedy = "From a data set take batches: for images, labels in dataset: ..."
        if isinstance(values, dict):
            remedy = f"Take it from the dictionary, whose keys are {[*values][:9]}."
        raise ValueError(
            f"{name} must be an array, a tensor or a list of them, got {type(values).__name__}. "
            f"{remedy}"
        )
    array = np.asarray(values)
    if array.dtype.name == "bfloat16":
        return array.astype("float32")
    if array.dtype.kind not in "biuf":
        text = array.dtype.kind in "US" and array.size
        got = f"text, {str(array.flat[0])[:60]!r}." if text else f"{array.dtype}."
        remedy = f" Of arrays of one shape make one: np.stack(list({name}))."
        raise ValueError(
            f"{name} must be numbers, got {got}{remedy if array.dtype == object else ''}"
        )
    return array


def _stacked(arrays, name):
    shapes = {array.shape for array in arrays}
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(
            f"{name} must be one array or a list of arrays of one shape; those given differ: "
            f"{[array.shape for array in arrays][:9]}. Pass {name} alone, without labels."
        )
    if len(shapes) > 1:
        raise ValueError(
            f"{name} must have one shape; those given differ. Resize them to that of the model."
        )
    return np.stack(arrays) if arrays else np.empty(0)


def to_images(images):
    """Images for what needs no model, as a NumPy array (N, h, w, channels), uint8 or float.

    Raises:
        ValueError: on images of another kind, or none.
    """
    images = to_array(images, "images")
    if images.ndim != 4 or images.dtype.kind not in "uif" or not images.size:
        raise ValueError(
            "images must be uint8 or float (N, h, w, channels), N >= 1, got "
            f"{images.dtype} {images.shape}."
        )
    return images


def images_for_model(images, shape, dtype, takes_pixels=False):
    """The images as a model takes them: its dtype, floats rounded for whole pixels.

    Args:
        images: array, tensor or list of images, (N, height, width, channels); without the last
            axis where the model takes one channel.
        shape: shape of the model's input, with the batch.
        dtype: str, of the model's input.
        takes_pixels: bool, whether the model itself scales pixels of 0..255.

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
        low, high, whole = images.min(), images.max(), np.array_equal(images, images.round())
        top = 255 if takes_pixels else np.iinfo(dtype).max
        if low < 0 or high > top or (high <= 1 and not whole):
            raise ValueError(
                f"The model takes pixels in 0..{top}, got values from {low} to {high}. Pass "
                "raw pixels: the model normalizes them itself."
            )
    if "int" in dtype:
        images = images.round()
    return images.astype(dtype, copy=False)


CHANNELS = {1: "gray", 3: "RGB", 4: "RGBA"}
TO_CHANNELS = {
    (1, 3): "np.repeat(images, 3, axis=-1)",
    (4, 3): "images[..., :3]",
    (3, 1): "images.mean(axis=-1, keepdims=True)",
    (4, 1): "images[..., :3].mean(axis=-1, keepdims=True)",
}


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


def check_classes(classes, count, name, number):
    """One class for each of `count` images, int64, -1 where None was given.

    Args:
        classes: None, an int, or `count` whole numbers, also as a column (count, 1).
        count: int, number of images.
        name: str, of the argument.
        number: int, how many classes the model has; of a single logit two, 0 and 1.

    Raises:
        ValueError: on another number of classes, or one that the model does not have.
    """
    if classes is None:
        return np.full(count, -1, "int64")
    wanted = to_array(classes, name)
    if wanted.shape == (count, 1):  # as keras.datasets.cifar10 gives labels
        wanted = wanted[:, 0]
    whole = wanted.dtype.kind == "f" and np.array_equal(wanted, wanted.round())
    if not (wanted.dtype.kind in "ui" or whole) or wanted.shape not in ((), (count,)):
        one_hot = wanted.shape == (count, number) and number > 1
        raise ValueError(
            f"{name} must be None, an int or a sequence of {count} ints (one for each image), "
            f"got {wanted.dtype} of shape {wanted.shape}."
            + (f" Of one-hot rows take the class: {name}.argmax(axis=1)." if one_hot else "")
        )
    outside = wanted[(wanted < 0) | (wanted >= number)]
    if outside.size:
        raise ValueError(
            f"{name} must be class indices from 0 to {number - 1}, got {outside[:10]}."
        )
    return np.broadcast_to(wanted.astype("int64"), (count,))


def predicted_classes(logits):
    """int64 (N,), the class of the largest logit; of a single logit, 1 where it is above 0."""
    return (logits[:, 0] > 0).astype("int64") if logits.shape[1] == 1 else logits.argmax(axis=1)


def is_int(value, at_least):
    """Whether a value is a whole number, and no bool, from `at_least` on."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and value >= at_least


def check_batch_size(batch_size):
    """Raises `ValueError` unless a batch size is an int >= 1."""
    if not is_int(batch_size, 1):
        raise ValueError(f"batch_size must be an int >= 1, got {batch_size!r}.")


def fewer_images(half):
    """What to do when a batch of images to explain does not fit; see `utils.out_of_memory`."""
    return f"Pass batch_size={half}; a model that fixes the number of images is to be built anew."


def check_finite(*arrays):
    """Raises `ValueError` if logits or maps, arrays of any shape, have NaN or infinity."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError(
            "The model gives logits or maps that are not finite. Its weights may have diverged "
            "in training: check the loss, or reload a checkpoint."
        )


def fixed_batches(count, size):
    """Rows of batches of one size, the last one filled up with the last row: one compilation.

    Returns:
        int64 (batches, size).
    """
    batches = -(-count // size)
    return np.minimum(np.arange(batches * size), count - 1).reshape(batches, size)
