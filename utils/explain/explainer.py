"""`GradCAM`: one model, one layer, one method that takes a gradient, compiled once."""

import numpy as np
from keras import ops

from utils.explain.checks import (
    Explanation,
    check_batch_size,
    check_classes,
    check_finite,
    check_images,
    fewer_images,
    fixed_batches,
    predicted_classes,
)
from utils.explain.compiled import compile_gradient
from utils.explain.graph import Graph
from utils.explain.logits import check_logits, find_logits
from utils.explain.methods import HOOKS
from utils.out_of_memory import batches_of


class GradCAM:
    """Grad-CAM, or a method like it, of one model at one layer, compiled once.

    Weights are read at each call, so it may be kept while the model trains; layers that are
    exchanged or changed in another way need a new one. Mixed precision is that of the model;
    weights and sum of the map are computed in float32.

    Args:
        model: functional or built sequential `keras.Model`, one image input, one output. If it
            ends in probabilities, the logits before them are explained.
        layer: name of a layer with a spatial output, or the layer, by default
            `default_layer(model)`; see `utils.explain.graph.Graph` for names.
        method: `"grad-cam"`, or another of `utils.explain.methods.HOOKS`.
        score: callable, logits (n, classes) to scores (n,) of `keras.ops`, to explain instead of a
            class, or None.

    Raises:
        ValueError: on an unknown method, an unknown or unsuitable layer or model, or probabilities
            from which no way leads back to logits.
    """

    def __init__(self, model, layer=None, method="grad-cam", *, score=None):
        if method not in HOOKS:
            raise ValueError(f"method must be one of {', '.join(HOOKS)}, got {method!r}.")
        graph = Graph(model)
        self.layer, self.method = graph.default_layer() if layer is None else layer, method
        explained = graph.find(self.layer)
        self._head = find_logits(graph)
        if all(explained not in call.outputs for call in self._head.calls):
            raise ValueError(
                f"Layer {layer!r} lies behind the logits, which are what is explained. Name one "
                f"before them; the default is {graph.default_layer()!r}."
            )
        self._own_score = score is not None
        self._input_shape, self._input_dtype = graph.input_shape, graph.input_dtype
        self._explain = compile_gradient(
            self._head.calls,
            graph.specs[0],
            explained,
            self._head.logits,
            _checked(score) if score else _class_score,
            HOOKS[method],
        )

    def __call__(self, images, targets=None, *, contrast=None, signed=False, batch_size=256):
        """Explains images; arguments as for `utils.explain.grad_cam.grad_cam`.

        Returns:
            `utils.explain.checks.Explanation`.
        """
        images = check_images(images, self._input_shape, self._input_dtype)
        if self._own_score and not (targets is None and contrast is None):
            raise ValueError("Pass either a function as target, or classes, not both.")
        if self.method == "eigen-cam" and contrast is not None:
            raise ValueError("Eigen-CAM asks for no class, so it knows no contrast; leave it out.")
        number = max(self._head.classes, 2)
        wanted = check_classes(targets, len(images), "targets", number)
        against = check_classes(contrast, len(images), "contrast", number)
        check_batch_size(batch_size)
        batches = -(-len(images) // batch_size)
        size = self._input_shape[0] or -(-len(images) // batches)
        with batches_of(size, fewer_images):
            parts = [
                self._explain(images[rows], wanted[rows], against[rows])
                for rows in fixed_batches(len(images), size)
            ]
        maps, logits = (np.concatenate(part)[: len(images)] for part in zip(*parts, strict=True))
        check_finite(logits, maps)
        check_logits(self._head, logits)
        maps = maps if signed else np.maximum(maps, 0)
        chosen = np.where(wanted < 0, predicted_classes(logits), wanted)
        return Explanation(maps, logits, np.full(len(images), -1) if self._own_score else chosen)


def _class_score(logits, targets, contrast):
    """The logit of the target, or of the predicted class; less that of the contrast, if any.

    A single logit z speaks for class 1, and -z for class 0.
    """
    if logits.shape[-1] == 1:
        logits = ops.concatenate([-logits, logits], axis=-1)
    chosen = ops.where(targets < 0, ops.argmax(logits, axis=-1), targets)
    score = ops.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0]
    other = ops.take_along_axis(logits, ops.maximum(contrast, 0)[:, None], axis=-1)[:, 0]
    return score - ops.where(contrast < 0, ops.zeros_like(other), other)


def _checked(score):
    """A function of the caller, which must give a number an image, as a score of targets."""

    def total(logits, targets, contrast):
        scores = score(logits)
        if tuple(scores.shape) != tuple(logits.shape[:1]):
            raise ValueError(
                f"The target function must give one score an image, shape (n,), got "
                f"{tuple(scores.shape)} for logits {tuple(logits.shape)}."
            )
        return scores

    return total
