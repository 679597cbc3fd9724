"""Class-activation maps: where in the image did the network find its class?

Grad-CAM after Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", https://arxiv.org/abs/1610.02391. The gradient is that of the logit,
not of the softmax probability: a probability also falls when another class rises, so its gradient
answers another question and fades to zero for confident predictions.

The model is cut at the explained layer into a trunk (pixels -> activations) and a head
(activations -> logits). Only the head is differentiated; the trunk is a plain forward pass, so a
map costs little more than a prediction.
"""

import weakref
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from utils.explain.graph import (
    cut_at,
    find_node,
    flatten,
    graph_nodes,
    last_spatial_layer,
    producer,
)
from utils.explain.methods import HOOKS
from utils.explain.overlay import normalize_maps, resize_maps

METHODS = (*HOOKS, "score-cam")

# GradCAM objects by model, layer and method, so that a second call compiles nothing. The keys are
# weak and the values do not refer to the model: the entry goes when the model goes.
_EXPLAINERS = weakref.WeakKeyDictionary()


class Explanation(NamedTuple):
    """What one pass yields for N images."""

    maps: np.ndarray  # float32 (N, h, w), native resolution, not normalized; >= 0 unless signed
    logits: np.ndarray  # float32 (N, classes)
    targets: np.ndarray  # int64 (N,), the class that each map explains; -1: a function's score


def default_layer(model):
    """Names the layer that Grad-CAM explains by default.

    It is the last one in the graph that still has a spatial output. In a pre-activation ResNet
    that is the BN + ReLU *after* the last Add, whose output the classifier pools. The last Conv2D,
    a common choice, lies inside the last residual branch and misses what the shortcut carries.

    Args:
        model: a functional or sequential `keras.Model` with one image input.

    Returns:
        The name, a str; `model.get_layer(name)` finds it.

    Raises:
        ValueError: when the model has no graph or no layer with a spatial output.
    """
    return last_spatial_layer(flatten(model))


def grad_cam(
    model,
    images,
    targets=None,
    layer=None,
    *,
    method="grad-cam",
    contrast=None,
    signed=False,
    batch_size=256,
    size="input",
    normalize=True,
):
    """Computes a class-activation map for each image.

    Compiled once for each model, layer and method, for later calls, too. `GradCAM` gives the logits
    as well.

    Args:
        model: functional `keras.Model`, one image input, ending in logits (batch, classes); its
            layers may be nested in other models.
        images: (N, height, width, channels), uint8 or float, in the units of the model's input:
            0..255 for the models of this course. Floats are rounded if the model takes uint8.
        targets: what to explain. None: the predicted class of each image; an int: one class for
            all images; a sequence of N ints: a class for each image; or a callable, logits
            (n, classes) to scores (n,) of `keras.ops`, which is compiled for this call alone.
        layer: name of the layer to explain, by default `default_layer(model)`; or a list of names,
            whose normalized maps are resized and averaged.
        method: `"grad-cam"`, `"hires-cam"`, `"layer-cam"`, `"grad-cam++"` or `"eigen-cam"`, see
            `utils.explain.methods`; or `"score-cam"`, see `utils.explain.score_cam`.
        contrast: why the target and not this class? An int, or a sequence of N ints, whose logit is
            subtracted from that of the target. Not with Eigen-CAM, which asks for no class, and
            not with Score-CAM.
        signed: bool, keep what speaks against the target as negative values, instead of ReLU.
        batch_size: int >= 1, the most images in one pass.
        size: `"input"` resizes maps to the image size, None keeps the layer's resolution, an int
            gives square maps of that side. Bilinear, as in the paper.
        normalize: divide each map by its largest absolute value. A map that is zero everywhere
            (nothing speaks for the class) stays zero.

    Returns:
        float32 (N, h, w); unless `signed`, >= 0; with `normalize` from -1 to 1.

    Raises:
        ValueError: on images, targets, method or layer that do not fit, a model that ends in
            probabilities, or maps that are not finite.
    """
    if isinstance(size, bool) or not (size is None or size == "input" or _is_int(size, 1)):
        raise ValueError(f'size must be "input", None or an int >= 1, got {size!r}.')
    if isinstance(layer, (list, tuple)):
        if not layer or size is None or not normalize:
            raise ValueError(
                f"Maps of several layers are averaged after normalizing and resizing: pass at "
                f"least one layer, a size and normalize=True, got {len(layer)} layers, "
                f"size={size!r}, normalize={normalize!r}."
            )
        options = {"method": method, "contrast": contrast, "signed": signed}
        options |= {"batch_size": batch_size, "size": size}
        each = [grad_cam(model, images, targets, name, **options) for name in layer]
        return normalize_maps(np.mean(each, axis=0))
    explain = _explainer(model, layer, method, targets)
    wanted = None if callable(targets) else targets
    maps = explain(images, wanted, contrast=contrast, signed=signed, batch_size=batch_size).maps
    if size is not None:
        maps = resize_maps(maps, np.shape(images)[1:3] if size == "input" else (size, size))
    return normalize_maps(maps) if normalize else maps


def _explainer(model, layer, method, targets):
    """The compiled explainer; only those without a function of the caller are kept."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    if callable(targets) and method in ("eigen-cam", "score-cam"):
        raise ValueError(
            f"{method} explains no function of the logits: Eigen-CAM asks for no class, Score-CAM "
            'for a probability. Use a method that takes gradients, such as "grad-cam".'
        )
    if callable(targets):
        return GradCAM(model, layer, method, score=targets)
    explainers = _EXPLAINERS.setdefault(model, {})
    if (layer, method) not in explainers:
        if method == "score-cam":
            from utils.explain.score_cam import ScoreCAM  # only here: it is built on this module

            explainers[layer, method] = ScoreCAM(model, layer)
        else:
            explainers[layer, method] = GradCAM(model, layer, method)
    return explainers[layer, method]


class GradCAM:
    """Grad-CAM, or a method like it, of one model at one layer, compiled once.

    Weights are read at each call, so it may be kept while the model trains. TensorFlow takes any
    number of images without a new compilation, JAX compiles for each new batch size, and PyTorch
    runs eagerly.
    Mixed precision is that of the model; weights and sum of the map are computed in float32.

    Args:
        model: functional `keras.Model`, one image input, ending in logits (batch, classes).
        layer: name of a layer with a spatial output, by default `default_layer(model)`.
        method: `"grad-cam"`, or another of `utils.explain.methods.HOOKS`.
        score: callable, logits (n, classes) to scores (n,) of `keras.ops`, to explain instead of a
            class, or None.

    Raises:
        ValueError: on an unknown method, an unknown or unsuitable layer, or a model that ends in
            probabilities.
    """

    def __init__(self, model, layer=None, method="grad-cam", *, score=None):
        if method not in HOOKS:
            raise ValueError(f"method must be one of {', '.join(HOOKS)}, got {method!r}.")
        model = flatten(model)
        nodes = graph_nodes(model)
        _check_logits(model)
        self.layer, self.method = layer or default_layer(model), method
        self._own_score = score is not None
        self._input_shape, self._input_dtype = model.inputs[0].shape, model.inputs[0].dtype
        self._classes = model.outputs[0].shape[-1]
        cut = cut_at(nodes, find_node(model, nodes, self.layer))
        self._explain = _compile(
            trunk=keras.Model(model.inputs[0], cut),
            head=keras.Model(cut, model.outputs[0]),
            hook=HOOKS[method],
            score=score or _logit_score,
        )

    def __call__(self, images, targets=None, *, contrast=None, signed=False, batch_size=256):
        """Explains images; arguments as for `grad_cam`, returns an `Explanation`."""
        images = self.check_images(images)
        if self._own_score and not (targets is None and contrast is None):
            raise ValueError("Pass either a function as target, or classes, not both.")
        if self.method == "eigen-cam" and contrast is not None:
            raise ValueError("Eigen-CAM asks for no class, so it knows no contrast; leave it out.")
        wanted = self.check_classes(targets, len(images), "targets")
        against = self.check_classes(contrast, len(images), "contrast")
        check_batch_size(batch_size)
        # Batches of one size, the last one padded with copies of an image: one shape, one compile.
        batches = -(-len(images) // batch_size)
        step = -(-len(images) // batches)
        padded = np.minimum(np.arange(batches * step), len(images) - 1)
        parts = [
            self._explain(images[rows], wanted[rows], against[rows])
            for rows in padded.reshape(batches, step)
        ]
        maps, logits = (np.concatenate(part)[: len(images)] for part in zip(*parts, strict=True))
        check_finite(logits, maps)
        maps = maps if signed else np.maximum(maps, 0)
        chosen = np.where(wanted < 0, -1 if self._own_score else logits.argmax(1), wanted)
        return Explanation(maps, logits, chosen)

    def check_images(self, images):
        """The images as the model takes them: its dtype, floats rounded for whole pixels.

        Raises:
            ValueError: on another shape, no image, NaN, infinity or values outside of 0..255.
        """
        images, wanted = np.asarray(images), self._input_shape[1:]
        fits = images.ndim == len(self._input_shape) and all(
            want in (None, got) for want, got in zip(wanted, images.shape[1:], strict=True)
        )
        if not fits or not len(images):
            raise ValueError(
                f"images must have shape (N, {', '.join(map(str, wanted))}) with N >= 1, got "
                f"{images.shape}. For one image pass image[None]."
            )
        if images.dtype.kind not in "uif":
            raise ValueError(f"images must be numbers (uint8 or float), got {images.dtype}.")
        if not np.isfinite(images).all():
            bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
            raise ValueError(f"images must be finite, got NaN or infinity in images {bad[:10]}.")
        if self._input_dtype == "uint8" and images.dtype != np.uint8:
            low, high, whole = images.min(), images.max(), np.array_equal(images, images.round())
            if low < 0 or high > 255 or (high <= 1 and not whole):
                raise ValueError(
                    f"The model takes pixels in 0..255, got values from {low} to {high}. Pass "
                    "raw pixels: the model normalizes them itself."
                )
            images = images.round()
        return images.astype(self._input_dtype, copy=False)

    def check_classes(self, classes, count, name):
        """One class for each of `count` images, -1 where None was given.

        Raises:
            ValueError: on another number of classes, or one that the model does not have.
        """
        if classes is None:
            return np.full(count, -1, "int64")
        wanted = np.asarray(classes)
        if wanted.dtype.kind not in "ui" or wanted.shape not in ((), (count,)):
            raise ValueError(
                f"{name} must be None, an int or a sequence of {count} ints (one for each image), "
                f"got {wanted.dtype} of shape {wanted.shape}."
            )
        outside = wanted[(wanted < 0) | (wanted >= self._classes)]
        if outside.size:
            raise ValueError(
                f"{name} must be class indices from 0 to {self._classes - 1}, got {outside[:10]}."
            )
        return np.broadcast_to(wanted.astype("int64"), (count,))


def _logit_score(logits, targets, contrast):
    """The logit of the target, or of the predicted class; less that of the contrast, if any."""
    chosen = ops.where(targets < 0, ops.argmax(logits, axis=-1), targets)
    score = ops.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0]
    other = ops.take_along_axis(logits, ops.maximum(contrast, 0)[:, None], axis=-1)[:, 0]
    return score - ops.where(contrast < 0, ops.zeros_like(other), other)


def _compile(trunk, head, hook, score):
    """Returns images, targets, contrast -> (signed maps, logits), compiled where Keras compiles.

    The head is differentiated for a whole batch at once: at inference (batch norm with its moving
    statistics) no image influences another one, so the gradient of the summed logits with respect
    to the activations of image i is the gradient of the logit of image i.
    """

    def total(logits, targets, contrast):
        if score is _logit_score:
            return ops.sum(score(logits, targets, contrast))
        scores = score(logits)
        if tuple(scores.shape) != tuple(logits.shape[:1]):
            raise ValueError(
                f"The target function must give one score an image, shape (n,), got "
                f"{tuple(scores.shape)} for logits {tuple(logits.shape)}."
            )
        return ops.sum(scores)

    def weigh(activations, gradients):
        return hook(ops.cast(activations, "float32"), ops.cast(gradients, "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        image_spec = tf.TensorSpec(trunk.inputs[0].shape, trunk.inputs[0].dtype)
        class_spec = tf.TensorSpec([None], "int64")

        @tf.function(input_signature=[image_spec, class_spec, class_spec])
        def explain(images, targets, contrast):
            cut = keras.tree.flatten(trunk(images, training=False))
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(cut[0])
                logits = ops.cast(_run(head, cut), "float32")
                explained = total(logits, targets, contrast)
            return weigh(cut[0], tape.gradient(explained, cut[0])), logits

        return lambda *arguments: [tensor.numpy() for tensor in explain(*arguments)]

    if keras.backend.backend() == "jax":
        import jax

        def stateless(model, state, inputs):
            return model.stateless_call(*state, inputs, training=False)[0]

        def state_of(model):
            groups = model.trainable_variables, model.non_trainable_variables
            return [[variable.value for variable in group] for group in groups]

        @jax.jit
        def explain(trunk_state, head_state, images, targets, contrast):
            first, *others = keras.tree.flatten(stateless(trunk, trunk_state, images))

            def explained(activations):
                cut = [activations, *others]
                logits = stateless(head, head_state, cut if others else activations)
                logits = ops.cast(logits, "float32")
                return total(logits, targets, contrast), logits

            gradients, logits = jax.grad(explained, has_aux=True)(first)
            return weigh(first, gradients), logits

        return lambda *arguments: jax.device_get(
            explain(state_of(trunk), state_of(head), *arguments)
        )

    if keras.backend.backend() == "torch":
        import torch

        def explain(*arguments):
            images, targets, contrast = map(ops.convert_to_tensor, arguments)
            with torch.no_grad():
                first, *others = keras.tree.flatten(trunk(images, training=False))
            with torch.enable_grad():
                first = first.detach().requires_grad_()
                logits = ops.cast(_run(head, [first, *others]), "float32")
                explained = total(logits, targets, contrast)
                (gradients,) = torch.autograd.grad(explained, first)
            return [ops.convert_to_numpy(t.detach()) for t in (weigh(first, gradients), logits)]

        return explain

    raise ValueError(
        f"Grad-CAM needs a backend with gradients (tensorflow, jax, torch), got "
        f"{keras.backend.backend()!r}."
    )


def _run(head, cut):
    return head(cut if len(cut) > 1 else cut[0], training=False)


def _check_logits(model):
    """Refuses a model whose last step turns logits into probabilities."""
    last, shape = producer(model.outputs[0]).operation, model.outputs[0].shape
    activation = getattr(last, "activation", None)
    name = getattr(activation, "__name__", type(activation or last).__name__).lower()
    if any(word in name for word in ("softmax", "sigmoid")):
        raise ValueError(
            f"The last layer {last.name!r} applies {name}, so the model gives probabilities; "
            "Grad-CAM needs the gradient of the logit. Remedy: end the model in logits (no "
            f"activation) and train with from_logits=True, or set model.get_layer({last.name!r})"
            ".activation = keras.activations.linear before explaining."
        )
    if len(shape) != 2 or shape[-1] is None:
        raise ValueError(f"The model must end in logits (batch, classes), got shape {shape}.")
    if keras.config.image_data_format() != "channels_last":
        raise ValueError("Grad-CAM needs channels last: keras.config.set_image_data_format.")


def check_batch_size(batch_size):
    """Raises `ValueError` unless a batch size is an int >= 1."""
    if not _is_int(batch_size, 1):
        raise ValueError(f"batch_size must be an int >= 1, got {batch_size!r}.")


def check_finite(*arrays):
    """Raises `ValueError` if logits or maps, arrays of any shape, have NaN or infinity."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError(
            "The model gives logits or maps that are not finite. Its weights may have diverged "
            "in training: check the loss, or reload a checkpoint."
        )


def _is_int(value, at_least):
    return (
        isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= at_least
    )
