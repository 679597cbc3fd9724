"""Score-CAM: a map without a gradient, from what each channel's region does to the prediction.

Wang et al. 2020, https://arxiv.org/abs/1910.01279, Section 3: channel k is enlarged to the image
and scaled to 0..1; the image is shown through it; its weight is the probability of the class then,
less that for the hidden image. The map is the ReLU of the weighted sum. As in the authors' own
code the probabilities are those after the softmax, and a constant channel has no say. A second
softmax, over the weights of the channels, is left out: it would give every channel a say.

It asks the network once for each channel: 256 forward passes an image at the last activation of
the models of this course, where Grad-CAM needs one.
"""

import keras
import numpy as np
from keras import layers

from utils.explain.checks import (
    Explanation,
    check_batch_size,
    check_classes,
    check_finite,
    fewer_images,
    fixed_batches,
    predicted_classes,
)
from utils.explain.compiled import compile_forward
from utils.explain.effects import LINKS
from utils.explain.graph import Graph
from utils.explain.image_checks import images_for_model
from utils.explain.keras_graph import needed
from utils.explain.layer_state import LayerState
from utils.explain.logits import check_logits, find_logits
from utils.explain.overlay import resize_maps
from utils.out_of_memory import batches_of


class ScoreCAM:
    """Score-CAM of one model at one layer; used like `utils.explain.explainer.GradCAM`.

    Args:
        model, layer: as for `GradCAM`.

    Raises:
        ValueError: as `GradCAM`.
    """

    def __init__(self, model, layer=None):
        self._graph = Graph(model)
        self.layer = self._graph.default_layer() if layer is None else layer
        self._state = LayerState(self._graph.calls)
        self._compile()

    def _compile(self):
        graph, image = self._graph, self._graph.specs[0]
        explained = graph.find(self.layer)
        self._head = find_logits(graph)
        self._channels = compile_forward(needed(graph.calls, explained), image, [explained])
        self._logits = compile_forward(self._head.calls, image, [self._head.logits])
        self._hidden = _hidden_pixels(graph.calls)
        self._is_new = True

    def __call__(self, images, targets=None, *, contrast=None, signed=False, batch_size=256):
        """Explains images; arguments as for `utils.explain.grad_cam.grad_cam`.

        Returns:
            `utils.explain.checks.Explanation`.
        """
        if contrast is not None:
            raise ValueError(
                "Score-CAM weighs probabilities, of which the difference of two classes is none; "
                'use contrast with a method that takes gradients, such as "grad-cam".'
            )
        images = images_for_model(images, *self._graph.input)
        number = max(self._head.classes, 2)
        wanted = check_classes(targets, len(images), "targets", number)
        check_batch_size(batch_size)
        if self._state.has_changed():
            self._compile()
            self._state.update()
        size = self._graph.input.shape[0] or batch_size
        few = self._graph.input.shape[0] or min(size, len(images))
        logits = self._compute_logits(images, few)
        check_finite(logits)
        check_logits(self._head, logits)
        classes = np.where(wanted < 0, predicted_classes(logits), wanted)
        channels = self._graph.specs[self._graph.find(self.layer)].shape[-1]
        size = self._graph.input.shape[0] or min(size, channels)
        hidden = np.broadcast_to(self._hidden, images[:1].shape)
        start = self._probabilities(hidden, size)[0]
        maps = []
        for rows in np.split(np.arange(len(images)), range(few, len(images), few)):
            activations = _in_batches(self._channels, images[rows], few).astype("float32")
            for image, one, target in zip(images[rows], activations, classes[rows]):
                maps.append(self._map(image, one, target, start[target], size))
        maps = np.stack(maps).astype("float32")
        if self._is_new:  # a layer may note something down while it is compiled
            self._state.update()
        self._is_new = False
        check_finite(maps)
        return Explanation(maps if signed else np.maximum(maps, 0), logits, classes)

    def _map(self, image, channels, target, start, size):
        """The signed map of one image, (h, w), from its channels (h, w, K)."""
        channels, weights = np.moveaxis(channels, 2, 0), []
        for first in range(0, len(channels), size):  # an image for each of them: gigabytes at once
            masks = resize_maps(channels[first : first + size], image.shape[:2])
            low, high = masks.min((1, 2), keepdims=True), masks.max((1, 2), keepdims=True)
            masks = (masks - low) / np.where(high > low, high - low, 1)
            shown = self._hidden + masks[..., None] * (image - self._hidden)
            gained = self._probabilities(shown, size)[:, target] - start
            weights.append(np.where((high > low)[:, 0, 0], gained, 0))
        return np.tensordot(np.concatenate(weights), channels, axes=1)

    def _probabilities(self, images, size):
        """Probabilities of two or more classes, float32 (n, classes)."""
        if "int" in self._graph.input.dtype:
            limits = np.iinfo(self._graph.input.dtype)
            images = np.rint(images).clip(limits.min, limits.max)
        logits = self._compute_logits(images.astype(self._graph.input.dtype), size)
        found = keras.ops.convert_to_numpy(LINKS[self._head.link](logits))
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found

    def _compute_logits(self, images, size):
        logits = _in_batches(self._logits, images, size).astype("float32")
        return logits.reshape(len(images), -1)


def _in_batches(run, images, size):
    """One compiled call for each batch of one size, NumPy (N, ...)."""
    with batches_of(size, fewer_images):
        parts = [run(images[rows])[0] for rows in fixed_batches(len(images), size)]
    return np.concatenate(parts)[: len(images)]


def _hidden_pixels(calls):
    """What hides a pixel: the color that a first layer which scales turns into 0, else 0 itself."""
    pixels = {0}  # the values that are the input, in whatever dtype
    for call in calls:
        if len(call.inputs) != 1 or call.inputs[0] not in pixels:
            continue
        first = call.operation
        if isinstance(first, layers.Normalization):
            return keras.ops.convert_to_numpy(first.mean)[0].astype("float32")
        if isinstance(first, layers.Rescaling):
            return np.atleast_1d(np.float32(-np.asarray(first.offset) / np.asarray(first.scale)))
        if type(first).__name__ == "Cast":  # ours, or that of keras.ops.cast
            pixels |= set(call.outputs)
    return np.zeros(1, "float32")
