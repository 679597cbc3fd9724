"""Score-CAM: a map without a gradient, from what each channel's region does to the prediction.

Wang et al. 2020, https://arxiv.org/abs/1910.01279, Eq. 6 to 8: channel k is enlarged to the image
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

from utils.explain.grad_cam import Explanation, GradCAM, check_batch_size, check_finite
from utils.explain.graph import find_node, flatten, graph_nodes, producer
from utils.explain.overlay import resize_maps


class ScoreCAM:
    """Score-CAM of one model at one layer; used like `utils.explain.grad_cam.GradCAM`.

    Args:
        model: functional `keras.Model`, one image input, ending in logits (batch, classes).
        layer: name of a layer with a spatial output, by default `default_layer(model)`.

    Raises:
        ValueError: on an unknown or unsuitable layer, or a model that ends in probabilities.
    """

    def __init__(self, model, layer=None):
        model = flatten(model)
        nodes = graph_nodes(model)
        self._check = GradCAM(model, layer)  # for its checks and its choice of the layer
        self.layer = self._check.layer
        node = find_node(model, nodes, self.layer)
        self._trunk = keras.Model(model.inputs[0], node.outputs[0])
        self._whole = keras.Model(model.inputs[0], model.outputs[0])
        self._hidden = _hidden_pixels(nodes)

    def __call__(self, images, targets=None, *, contrast=None, signed=False, batch_size=256):
        """Explains images; arguments as for `utils.explain.grad_cam.grad_cam`, returns an `Explanation`."""
        if contrast is not None:
            raise ValueError(
                "Score-CAM weighs probabilities, of which the difference of two classes is none; "
                'use contrast with a method that takes gradients, such as "grad-cam".'
            )
        images = self._check.check_images(images)
        wanted = self._check.check_classes(targets, len(images), "targets")
        check_batch_size(batch_size)
        logits = self._whole.predict(images, batch_size=batch_size, verbose=0).astype("float32")
        check_finite(logits)
        classes = np.where(wanted < 0, logits.argmax(1), wanted)
        activations = self._trunk.predict(images, batch_size=batch_size, verbose=0)
        hidden = self._probabilities(np.broadcast_to(self._hidden, images[:1].shape), batch_size)[0]
        maps = []
        for image, channels, target in zip(images, activations, classes):
            channels = np.moveaxis(channels.astype("float32"), 2, 0)  # (K, h, w)
            masks = resize_maps(channels, image.shape[:2])
            low, high = masks.min((1, 2), keepdims=True), masks.max((1, 2), keepdims=True)
            masks = (masks - low) / np.where(high > low, high - low, 1)
            shown = self._hidden + masks[..., None] * (image - self._hidden)
            weights = self._probabilities(shown, batch_size)[:, target] - hidden[target]
            weights = np.where((high > low)[:, 0, 0], weights, 0)
            maps.append(np.tensordot(weights, channels, axes=1))
        maps = np.stack(maps).astype("float32")
        check_finite(maps)
        return Explanation(maps if signed else np.maximum(maps, 0), logits, classes)

    def _probabilities(self, images, batch_size):
        if self._whole.inputs[0].dtype == "uint8":
            images = np.rint(images).clip(0, 255).astype("uint8")
        logits = self._whole.predict(images, batch_size=batch_size, verbose=0)
        return keras.ops.convert_to_numpy(keras.ops.softmax(logits.astype("float32")))


def _hidden_pixels(nodes):
    """What hides a pixel: the color that the model's first layer turns into 0, else 0 itself."""
    for node in nodes:
        first = not node.is_input and producer(node.input_tensors[0]).is_input
        if first and isinstance(node.operation, layers.Normalization):
            return keras.ops.convert_to_numpy(node.operation.mean)[0].astype("float32")
    return np.zeros(1, "float32")
