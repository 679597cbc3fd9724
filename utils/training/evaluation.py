"""What a trained network says about labeled images: predictions, confusions, mistakes."""

from dataclasses import dataclass

import keras
import numpy as np

from utils.data.image_arrays import check_images, check_labels
from utils.out_of_memory import batches_of, is_out_of_memory
from utils.progress import progress

EVALUATION_BATCH = 500  # divides 5,000 and 10,000: one shape, one compilation


class DivergedError(ValueError):
    """The network's logits are not finite."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for n labeled images.

    Attributes:
        labels: int64 (n,), the true classes.
        probabilities: float64 (n, classes), rows sum to 1.
    """

    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self):
        """int64 (n,), the most probable class of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def second(self):
        """int64 (n,), the second most probable class of each image."""
        return (-self.probabilities).argsort(axis=1, kind="stable")[:, 1]

    @property
    def confidence(self):
        """float64 (n,), the probability of that class."""
        return self.probabilities.max(axis=1)

    @property
    def correct(self):
        """bool (n,)."""
        return self.predicted == self.labels

    def confusion(self):
        """int64 (classes, classes): entry [i, j] counts images of class i taken for class j."""
        classes = self.probabilities.shape[1]
        pairs = self.labels * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def worst_mistakes(self, count):
        """Positions of the wrong predictions with the highest confidence, worst first.

        Args:
            count: int, how many at most.

        Returns:
            int64 array of at most `count` positions; empty when every prediction is right.
        """
        wrong = np.flatnonzero(~self.correct)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]


def predict_logits(model, images):
    """Logits, float32 (n, classes), of raw pixels (n, 32, 32, 3), without augmentation.

    One compiled call for each `EVALUATION_BATCH` images, the last one filled up with copies of its
    first image, so that it is compiled once. `predict` would build an iterator for every call.
    Where the device has no room for a batch, half of it is tried, and so on: a training of hours
    does not end for it. A network that takes whole numbers gets floats rounded, as for a heatmap.

    Raises:
        ValueError: for images of another form, or a model that gives no logits but
            probabilities that sum to 1.
    """
    _check_model(model)
    images = check_images(images, model.inputs[0].shape[1:])
    size = min(EVALUATION_BATCH, len(images))
    while size > 1:
        try:
            return _in_batches(model, images, size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    with batches_of(1, str):  # less than one image there is not
        return _in_batches(model, images, 1)


def sum_to_one(values, tolerance):
    """Whether numbers (n, classes) are probabilities: none negative, and every row sums to 1.

    A single column, which is 1 after any softmax, counts as a logit.
    """
    positive = values.shape[1] > 1 and values.min() >= 0
    return positive and np.abs(values.sum(axis=1) - 1).max() < tolerance


def _in_batches(model, images, size):
    logits, whole = [], "int" in model.inputs[0].dtype
    for start in progress(range(0, len(images), size), "prediction: batch"):
        batch = np.asarray(images[start : start + size])
        batch = np.rint(batch) if whole and batch.dtype.kind == "f" else batch
        missing = size - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[:1], missing, axis=0)])
        logits.append(model.predict_on_batch(padded)[: len(batch)])
    logits = np.concatenate(logits)
    tolerance = 1e-2 if logits.itemsize < 4 else 1e-3  # numbers of half precision are rounded
    logits = logits.astype("float32")
    if sum_to_one(logits, tolerance):
        raise ValueError(
            f"{model.name!r} gives probabilities, of which the softmax would be taken once more. "
            "Pass a model that ends in logits, without the last activation: keras.applications "
            f"builds it with classifier_activation=None{_remedy(model)}."
        )
    return logits


def _remedy(model):
    """How a model whose last layer makes probabilities is cut before them."""
    last = model.layers[-1]
    if isinstance(last, (keras.layers.Softmax, keras.layers.Activation)):
        return "; from this one take keras.Model(model.inputs[0], model.layers[-1].input)"
    if isinstance(last, keras.Model):  # its `output` is not that of this call
        return ""
    if last.output is not model.outputs[0]:  # a function stands behind it
        return "; from this one take keras.Model(model.inputs[0], model.layers[-1].output)"
    if hasattr(last, "activation"):
        return (
            "; or: last = model.layers[-1]; bare = type(last).from_config(last.get_config() | "
            "{'activation': None}); model = keras.Model(model.inputs[0], bare(last.input)); "
            "bare.set_weights(last.get_weights())"
        )
    return ""


def predict_probabilities(model, images):
    """Class probabilities of images, without augmentation.

    Args:
        model: `keras.Model` that ends in logits.
        images: uint8 (n, 32, 32, 3).

    Returns:
        float64 (n, classes), the softmax of the logits.

    Raises:
        DivergedError: when a logit is not finite.
    """
    return softmax(predict_logits(model, images))


def softmax(logits):
    """Class probabilities, float64 (n, classes), of logits (n, classes).

    Raises:
        DivergedError: when a logit is not finite.
    """
    logits = np.asarray(logits, "float64")
    if not np.isfinite(logits).all():
        raise DivergedError(
            "The network gives logits that are not finite; its training has diverged. Train again "
            "with a lower peak learning rate."
        )
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def evaluate(model, images, labels):
    """Predicts labeled images once.

    Args:
        model: `keras.Model` that ends in logits.
        images: uint8 (n, 32, 32, 3).
        labels: int (n,) or (n, 1), class indices.

    Returns:
        `Predictions`.

    Raises:
        ValueError: for images or labels of another form, a model without a graph, of several
            outputs, of one number an image, or that gives probabilities that sum to 1;
            `DivergedError`, which is one, when a logit is not finite.
    """
    images, labels = _check(model, images, labels)
    return Predictions(labels, predict_probabilities(model, images))


def evaluate_with_mirror(model, images, labels):
    """Predicts labeled images, and once more their mirror images.

    Args:
        model, images, labels: as for `evaluate`.

    Returns:
        (plain, averaged), two `Predictions`: of the images alone, as `evaluate` gives, and of the
        mean logits of image and mirror image. The second one is never the reported accuracy.

    Raises:
        ValueError: as `evaluate`.
    """
    images, labels = _check(model, images, labels)
    logits, mirrored = (predict_logits(model, x) for x in (images, images[:, :, ::-1]))
    both = logits, (logits + mirrored) / 2
    return tuple(Predictions(labels, softmax(one)) for one in both)


def _check_model(model):
    """Refuses a model that has no graph, or another output than one array."""
    if not getattr(model, "inputs", None):  # a `Sequential` that is not built raises, too
        raise ValueError(
            f"{model.name!r} does not say what it takes; pass a functional or a built sequential "
            "model: model.build((None, height, width, channels)) for a Sequential, for another one "
            "x = keras.Input((height, width, channels)); model = keras.Model(x, model.call(x))."
        )
    if len(model.outputs) > 1 or isinstance(getattr(model, "output", None), dict):
        raise ValueError(
            f"{model.name!r} has several outputs or a dictionary of them; pass a model with one, "
            "such as keras.Model(model.inputs[0], model.outputs[0])."
        )
    if len(model.outputs[0].shape) != 2:
        raise ValueError(
            f"{model.name!r} gives {model.outputs[0].shape} where logits (n, classes) are wanted; "
            "the mean of a map of them is keras.Model(model.inputs[0], "
            "keras.layers.GlobalAveragePooling2D()(model.outputs[0]))."
        )


def _check(model, images, labels):
    _check_model(model)
    if model.output_shape[-1] == 1:
        raise ValueError(
            f"{model.name!r} gives one number an image, and of one class the probability is always "
            "1. Of a logit for the second of two classes make two: z = model.outputs[0]; model = "
            "keras.Model(model.inputs[0], keras.layers.Concatenate()([0 * z, z]))."
        )
    images = check_images(images, model.inputs[0].shape[1:])
    return images, check_labels(labels, len(images), model.output_shape[-1])


def first_of_each_class(labels):
    """Positions of the first image of every class: a choice that nobody can have made by eye.

    Args:
        labels: int (n,), every class from 0 to the largest occurs.

    Returns:
        int64 (classes,), in the order of the classes.
    """
    return np.unique(labels, return_index=True)[1]
