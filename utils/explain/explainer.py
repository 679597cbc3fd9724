"""`GradCAM`: one model, one layer, one method that takes a gradient, compiled once."""

import numpy as np
from keras import ops

from utils.explain.checks import (
    Explanation,
    check_batch_size,
    check_classes,
    check_finite,
    fewer_images,
    fixed_batches,
    predicted_classes,
)
from utils.explain.compiled import compile_gradient
from utils.explain.graph import Graph
from utils.explain.image_checks import as_input, checked_images
from utils.explain.layer_state import LayerState
from utils.explain.logits import check_logits, find_logits
from utils.explain.methods import HOOKS
from utils.out_of_memory import batches_of

# Below 6e-5 a float16 loses digits, and there lies the gradient of a mean over a large map.
_SCALE = np.float32(1024)


class GradCAM:
    """Grad-CAM, or a method like it, of one model at one layer, compiled once.

    It may be kept while the model trains or changes: weights are read at each call, and another
    attribute of a layer, such as its activation, has it compiled anew (`model.predict` goes on
    with the old one). What `utils.explain.layer_state` cannot see, and layers that are added or
    taken away, need a new `GradCAM`. Mixed precision is that of the model; weights and sum of the
    map are computed in float32.

    Args:
        model: functional or built sequential `keras.Model`, one image input, one output. If it
            ends in probabilities, the logits before them are explained.
        layer: name of a layer with a spatial output, or the layer, by default
            `default_layer(model)`; see `utils.explain.graph.Graph` for names.
        method: `"grad-cam"`, or another of `utils.explain.methods.HOOKS`; or a tuple of them, whose
            maps cost one gradient together and lie beside each other, (N, methods, h, w).
        score: callable, logits (n, classes) to scores (n,) of `keras.ops`, to explain instead of a
            class, or None.

    Raises:
        ValueError: on an unknown method, an unknown or unsuitable layer or model, or probabilities
            from which no way leads back to logits.
    """

    def __init__(self, model, layer=None, method="grad-cam", *, score=None):
        self._several = isinstance(method, (tuple, list))
        self._methods = tuple(method) if self._several else (method,)
        unknown = [name for name in self._methods if name not in HOOKS]
        if unknown or not self._methods:
            raise ValueError(f"method must be one of {', '.join(HOOKS)}, got {method!r}.")
        self._graph = Graph(model)
        self.layer = self._graph.default_layer() if layer is None else layer
        self.method, self._score = method, score
        self._state = LayerState(self._graph.calls)
        self._compile()

    def _compile(self):
        graph, explained = self._graph, self._graph.find(self.layer)
        self._head = find_logits(graph)
        if all(explained not in call.outputs for call in self._head.calls):
            raise ValueError(
                f"The logits, which are what is explained, do not depend on layer {self.layer!r}: "
                f"it lies behind them, or on a way to another output{graph.advice()}."
            )
        self._explain = compile_gradient(
            self._head.calls,
            graph.specs[0],
            explained,
            self._head.logits,
            _checked(self._score) if self._score else _class_score,
            _beside_each_other(self._methods) if self._several else HOOKS[self.method],
            needs_gradient=set(self._methods) != {"eigen-cam"},
        )
        self._is_new = True

    def __call__(self, images, targets=None, *, contrast=None, signed=False, batch_size=256):
        """Explains images; arguments as for `utils.explain.grad_cam.grad_cam`.

        Returns:
            `utils.explain.checks.Explanation`.
        """
        images = checked_images(images, *self._graph.input)
        if self._score and not (targets is None and contrast is None):
            raise ValueError("Pass either a function as target, or classes, not both.")
        if "eigen-cam" in self._methods and contrast is not None:
            raise ValueError("Eigen-CAM asks for no class, so it knows no contrast; leave it out.")
        number = max(self._head.classes, 2)
        wanted = check_classes(targets, len(images), "targets", number)
        against = check_classes(contrast, len(images), "contrast", number)
        check_batch_size(batch_size)
        if self._state.has_changed():
            self._compile()
            self._state.update()
        batches = -(-len(images) // batch_size)
        size = self._graph.input.shape[0] or -(-len(images) // batches)
        with batches_of(size, fewer_images):
            parts = [
                self._maps_and_logits(images[rows], wanted[rows], against[rows])
                for rows in fixed_batches(len(images), size)
            ]
        if self._is_new:  # a layer may note something down while it is compiled
            self._state.update()
        self._is_new = False
        maps, logits = (np.concatenate(part)[: len(images)] for part in zip(*parts, strict=True))
        check_finite(logits, maps)
        check_logits(self._head, logits)
        maps = maps if signed else np.maximum(maps, 0)
        chosen = np.where(wanted < 0, predicted_classes(logits), wanted)
        return Explanation(maps, logits, np.full(len(images), -1) if self._score else chosen)

    def _maps_and_logits(self, images, *classes):
        """Those of a batch, from scaled gradients, or plain ones where a float16 has no room."""
        batch = as_input(images, self._graph.input.dtype), *classes
        maps, finite, logits = self._explain(*batch, _SCALE)
        if not finite and np.isfinite(logits).all():
            maps, _, logits = self._explain(*batch, np.float32(1))
        return maps, logits


def _beside_each_other(methods):
    """A hook that gives the maps of several methods in their order, (N, methods, h, w)."""

    def hook(activations, gradients):
        return ops.stack([HOOKS[name](activations, gradients) for name in methods], axis=1)

    return hook


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
