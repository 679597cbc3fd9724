"""Weights are destroyed from the top down, and the model keeps its own."""

import warnings
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

from utils.explain.randomization import cascading_randomization, randomized, spearman


def test_spearman():
    assert spearman([1, 2, 3, 4], [10, 20, 25, 1000]) == pytest.approx(1)  # any rising function
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0
    # Ties by hand: ranks 1.5 1.5 3 4 against 1 2 3 4, r = 4.5 / sqrt(4.5 * 5).
    assert spearman([[0, 0], [5, 9]], [[1, 2], [3, 4]]) == pytest.approx(np.sqrt(4.5 / 5))


def toy(channels=3):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(channels, 1, name="conv")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def test_cascading_randomization_leaves_the_model_alone():
    model = toy(16)
    model.get_layer("bn").gamma.assign(np.linspace(0.5, 2.5, 16))  # as if trained
    weights = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    run = partial(cascading_randomization, model, pixels, stages=8, draws=2)
    result = run()  # more stages than layers: one a layer
    for old, weight in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(weight.value))
    assert result.layers == ("logits", "bn", "conv")
    assert result.correlations.shape == (2, 3, 5)
    assert np.abs(result.correlations).max() <= 1 + 1e-12
    np.testing.assert_allclose(run().correlations, result.correlations, atol=1e-6)
    np.testing.assert_allclose(run(seed=1).correlations[0], result.correlations[1], atol=1e-6)
    assert (result.correlations[0] != result.correlations[1]).any()


def test_cascading_randomization_tests_the_method_that_is_named():
    """Eigen-CAM asks for no class, so it cannot notice that the logits layer has been lost."""
    model = toy(16)
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    maps = {
        name: cascading_randomization(model, pixels, 0, method=name, stages=3).correlations[:, 0]
        for name in ("grad-cam", "eigen-cam")
    }
    np.testing.assert_allclose(maps["eigen-cam"], 1)
    assert (maps["grad-cam"] < 0.99).any()


def test_cascading_randomization_goes_down_cumulatively():
    """One positive channel: its map depends on the sign of the Dense weight only, until the
    convolution is randomized."""
    model = toy(1)
    model.get_layer("conv").kernel.assign(np.array([1.0, 0, 0]).reshape(1, 1, 3, 1))
    model.get_layer("logits").kernel.assign([[1.0, -1.0]])
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    result = cascading_randomization(model, pixels, 0, stages=3, draws=4)
    assert result.layers == ("logits", "bn", "conv")
    for draw, empty in zip(result.correlations, result.constant, strict=True):
        for row in draw[:2]:  # same image of the red channel, or switched off
            assert np.allclose(row, 1) or np.allclose(row, 0)
        assert not np.allclose(draw[2], 1)
        np.testing.assert_array_equal(empty[:2], draw[:2] == 0)
    assert result.constant.any() and not result.constant.all()


def test_randomized_copy_has_nothing_left_of_the_training():
    model = toy()
    trained = [np.full(weight.shape, 7.0) for weight in model.weights]
    model.set_weights(trained)
    copy = randomized(model, seed=3)
    for weight in model.weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), 7.0)
    values = {w.path.partition("/")[2]: keras.ops.convert_to_numpy(w.value) for w in copy.weights}
    assert not any((value == 7.0).any() for value in values.values())
    again = [keras.ops.convert_to_numpy(w.value) for w in randomized(model, seed=3).weights]
    for weight, value in zip(copy.weights, again, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), value)


def test_random_kernels_keep_the_scale_of_a_signal():
    """He's variance counts what one number is made of: of a depthwise kernel one channel alone."""
    sequence = [
        layers.DepthwiseConv2D(3, depth_multiplier=40, name="depthwise"),
        layers.SeparableConv2D(200, 3, name="separable"),
        layers.PReLU(name="prelu"),
        layers.Dense(5, name="logits"),
    ]
    copy = randomized(keras.Sequential([keras.Input((8, 8, 3)), *sequence]))
    spread = {weight.path.split("/", 1)[1]: float(keras.ops.std(weight)) for weight in copy.weights}
    wanted = {
        "depthwise/kernel": 9,
        "separable/depthwise_kernel": 9,
        "separable/pointwise_kernel": 120,
        "logits/kernel": 200,
    }
    for name, inputs in wanted.items():
        assert spread[name] == pytest.approx(np.sqrt(2 / inputs), rel=0.1), name
    assert spread["prelu/alpha"] == 0  # slopes are no kernel: as they are before the training


def test_too_few_stages_or_draws():
    for name, values in (("stages", (1, 2.0, True)), ("draws", (0, 1.0))):
        for value in values:
            with pytest.raises(ValueError, match=f"{name} must be an int"):
                cascading_randomization(toy(), np.ones((1, 8, 8, 3)), **{name: value})


def test_nested_models_are_destroyed_layer_by_layer():
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.Lambda(lambda z: z * 1.0)(x)  # its configuration cannot be read back
    backbone = keras.Model(inputs, layers.Conv2D(4, 3, name="top")(x), name="backbone")
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    before = model.get_weights()
    result = cascading_randomization(model, np.ones((2, 8, 8, 3)), stages=9, draws=1)
    assert result.layers[1:] == ("backbone/top", "backbone/conv")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class Scaled(layers.Layer):
    factor = 1.0  # changed later, and in no configuration

    def call(self, x):
        return x * self.factor


def test_a_state_outside_of_the_configuration_is_noticed():
    inputs = keras.Input((8, 8, 3))
    scaled = Scaled()
    x = scaled(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    scaled.factor = 7.0
    with pytest.raises(ValueError, match="gives other logits: a layer has a state"):
        cascading_randomization(model, np.ones((2, 8, 8, 3)))


class NoConfig(layers.Layer):
    def __init__(self, units):
        super().__init__(name="mine")
        self.inner = layers.Dense(units)

    def call(self, x):
        return self.inner(x)


def test_a_layer_that_cannot_be_rebuilt_is_named():
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    with pytest.raises(ValueError, match="'mine' cannot be rebuilt from its configuration"):
        randomized(keras.Model(inputs, NoConfig(2)(x)))


def test_what_a_layer_has_adapted_to_is_not_destroyed():
    """It is the mean of the data; a network without it would see other images."""
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).random((4, 8, 8, 3)) * 50 + 100
    normalize = layers.Normalization(name="normalize", axis=(1, 2, 3))  # kernels have two axes, too
    normalize.adapt(pixels)
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(normalize(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    before = model.get_weights()
    copy = randomized(model)
    expected = keras.ops.convert_to_numpy(normalize(pixels))
    found = keras.ops.convert_to_numpy(copy.get_layer("normalize")(pixels))
    np.testing.assert_array_equal(found, expected)
    assert cascading_randomization(model, pixels, stages=9, draws=1).layers == ("logits", "conv")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_quantized_model_is_refused():
    """Random numbers, made whole, would be -1, 0 and 1, and the scale that of nothing."""
    model = toy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that cannot be quantized
        model.quantize("int8")
    with pytest.raises(ValueError, match="'logits' is quantized.*before model.quantize"):
        cascading_randomization(model, np.ones((2, 8, 8, 3)))
