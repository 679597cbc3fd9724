"""Builds small models of any architecture: what the tests of Grad-CAM and its graph share."""

import keras
import numpy as np
from keras import layers

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def small(build, **kwargs):
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, build(inputs, **kwargs))


def classify(x, activation=None):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(4, activation=activation, name="scores")(x)


def numpy(tensor):
    return keras.ops.convert_to_numpy(getattr(tensor, "value", tensor))


def randomize(model, seed=0):
    """Random weights and batch-norm statistics, so that no factor is 1 and no offset 0."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "kernel":
            fan_in = np.prod(weight.shape[:-1])
            value = rng.normal(0, np.sqrt(2 / fan_in), weight.shape)
        elif weight.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, weight.shape)
        else:
            value = rng.normal(0, 0.3, weight.shape)
        weight.assign(value)
    return model


def values_at(model, images, *names):
    """Outputs of layers, as NumPy arrays."""
    outputs = [model.get_layer(name).output for name in names]
    results = keras.Model(model.input, outputs)(images, training=False)
    return [numpy(keras.ops.cast(result, "float32")).astype("float64") for result in results]


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * expected.max())
