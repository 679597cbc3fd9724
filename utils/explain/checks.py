"""What every explainer checks before it works, and what it returns."""

import os
from typing import NamedTuple

import keras
import numpy as np


class Explanation(NamedTuple):
    """What one pass yields for N images."""

    maps: np.ndarray  # float32 (N, h, w), native resolution, not normalized; >= 0 unless signed
    logits: np.ndarray  # float32 (N, classes); (N, 1) of a model with one logit for two classes
    targets: np.ndarray  # int64 (N,), the class that each map explains; -1: a function's score


OF_TEXT = {
    "images": " Read the file: from utils.explain.photo import load_photo; images = "
    "load_photo({0!r}, size=side)[1][None], with the side of the images that the model takes.",
    "targets": " Pass its number: class_names.index({0!r}).",
    "contrast": " Pass its number: class_names.index({0!r}).",
}


def to_array(values, name):
    """An array, a tensor of any backend, or a list of them, as a NumPy array of numbers.

    Raises:
        ValueError: on anything else, such as a `tf.data.Dataset`, a generator, a dictionary, text
            or an array of objects.
    """
    if isinstance(values, os.PathLike):
        values = os.fspath(values)
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
        if values is None:
            remedy = "Does the function that makes them return them?"
        elif isinstance(values, dict):
            remedy = f"Take it from the dictionary, whose keys are {[*values][:9]}."
        raise ValueError(
            f"{name} must be an array, a tensor or a list of them, got {type(values).__name__}. "
            f"{remedy}"
        )
    array = np.asarray(values)
    if array.dtype.name == "bfloat16":
        return array.astype("float32")
    if array.dtype.kind not in "biuf":
        got, remedy = f"{array.dtype}.", ""
        if array.dtype == object:
            remedy = f" Of arrays of one shape make one: np.stack(list({name}))."
        elif array.dtype.kind in "US" and array.size:
            text = str(array.flat[0])
            got, remedy = f"text, {text[:60]!r}.", OF_TEXT.get(name, "").format(text[:200])
        raise ValueError(f"{name} must be numbers, got {got}{remedy}")
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
    if isinstance(classes, (list, tuple)) and any(one is None for one in classes):
        raise ValueError(
            f"{name} may be None for all images, not for single ones, got {list(classes)[:9]}. "
            "Give these their predicted class, one of model.predict(images).argmax(axis=1)."
        )
    wanted = to_array(classes, name)
    if wanted.shape == (count, 1):  # as keras.datasets.cifar10 gives labels
        wanted = wanted[:, 0]
    whole = wanted.dtype.kind == "f" and np.array_equal(wanted, wanted.round())
    if not (wanted.dtype.kind in "ui" or whole) or wanted.shape not in ((), (count,)):
        remedy = ""
        if wanted.shape == (count, number) and number > 1:
            remedy = f" Of one-hot rows take the class: {name}.argmax(axis=1)."
            ones = np.isin(wanted, (0, 1)).all()
            if ones and (wanted.sum(axis=1) != 1).any():
                several = wanted.sum(axis=0).argmax()
                remedy = f" A map explains one label: name one, such as {name}={several}."
        raise ValueError(
            f"{name} must be None, an int or a sequence of {count} ints (one for each image), "
            f"got {wanted.dtype} of shape {wanted.shape}.{remedy}"
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
