"""Grad-CAM on `keras.applications`: the default layer, and the largest difference from a tape.

`python -m benchmarks.backbones` (TensorFlow, a few minutes) builds each family with random weights,
explains two images, and once more with a plain gradient tape over the whole model, whose last layer
ends in logits. `python -m benchmarks.backbones VGG16 ResNet50` takes those alone.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

from utils.explain.grad_cam import default_layer, grad_cam

# name: (side of the images, whether the model scales pixels of 0..255 itself)
FAMILIES = {
    "ResNet50": (64, False),
    "ResNet50V2": (64, False),
    "MobileNet": (64, False),
    "MobileNetV2": (64, False),
    "MobileNetV3Small": (64, True),
    "EfficientNetB0": (64, True),
    "EfficientNetV2B0": (64, True),
    "NASNetMobile": (64, False),
    "InceptionV3": (96, False),
    "DenseNet121": (64, False),
    "VGG16": (64, False),
    "Xception": (96, False),
    "ConvNeXtTiny": (64, True),
}


def largest_difference(name, side, scales, target=3):
    """Builds one family: its default layer, the maps' shape, and their relative difference."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    build = getattr(keras.applications, name)
    model, twin = (
        build(weights=None, input_shape=(side, side, 3), classes=7, classifier_activation=last)
        for last in ("softmax", None)
    )
    for weight in model.weights:  # as if trained: no variance 1, no factor 1
        if weight.name in ("moving_variance", "gamma"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    twin.set_weights(model.get_weights())
    images = rng.integers(0, 256, (2, side, side, 3)).astype("float32")
    images = images if scales else images / 127.5 - 1
    layer = default_layer(model)
    maps = grad_cam(model, images, target, size=None, normalize=False, signed=True)
    position = [one.name for one in model.operations].index(layer)
    tensor = twin.operations[position].output
    both = keras.Model(twin.input, [tensor, twin.output])
    with tf.GradientTape() as tape:
        activations, logits = both(images, training=False)
        score = tf.reduce_sum(tf.reshape(logits, (len(images), -1))[:, target])
    alpha = tape.gradient(score, activations).numpy().mean(axis=(1, 2))
    expected = np.einsum("nhwk,nk->nhw", activations.numpy(), alpha)
    return layer, maps.shape[1:], np.abs(maps - expected).max() / np.abs(expected).max()


def main(names):
    for name in names or FAMILIES:
        layer, shape, difference = largest_difference(name, *FAMILIES[name])
        print(f"{name:18} {FAMILIES[name][0]:3} {layer:22} {shape}  {difference:.1e}", flush=True)
        if not difference < 1e-4:
            raise SystemExit(f"{name}: the maps differ from those of a gradient tape.")


if __name__ == "__main__":
    main(sys.argv[1:])
