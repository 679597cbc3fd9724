"""The network against the classic Keras builder, written out here a second time."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.model.augment import Augment
from utils.model.resnet import format_stage_table, resnet_v2, stage_table


def classic_resnet_v2(depth):
    """The v2 builder of Keras's example cifar10_resnet; layers in the order of their creation."""
    created = []

    def add(layer, x):
        created.append(layer)
        return layer(x)

    def resnet_layer(x, filters, size=3, strides=1, activation=True, norm=True, conv_first=True):
        conv = layers.Conv2D(filters, size, strides=strides, padding="same")
        if conv_first:
            x = add(conv, x)
        if norm:
            x = add(layers.BatchNormalization(), x)
        if activation:
            x = layers.ReLU()(x)
        return x if conv_first else add(conv, x)

    filters_in = 16
    inputs = keras.Input((32, 32, 3))
    x = resnet_layer(inputs, filters_in)
    for stage in range(3):
        for block in range((depth - 2) // 9):
            activation = norm = True
            strides = 1
            if stage == 0:
                filters_out = filters_in * 4
                if block == 0:
                    activation = norm = False
            else:
                filters_out = filters_in * 2
                if block == 0:
                    strides = 2
            y = resnet_layer(x, filters_in, 1, strides, activation, norm, conv_first=False)
            y = resnet_layer(y, filters_in, conv_first=False)
            y = resnet_layer(y, filters_out, 1, conv_first=False)
            if block == 0:
                x = resnet_layer(x, filters_out, 1, strides, activation=False, norm=False)
            x = layers.add([x, y])
        filters_in = filters_out
    x = layers.ReLU()(add(layers.BatchNormalization(), x))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    outputs = add(layers.Dense(10, activation="softmax"), x)
    return keras.Model(inputs, outputs), created


def weighted_layers(model):
    """Our layers with weights, in the order in which the classic builder creates its own."""
    parts = ("1_bn", "1_conv", "2_bn", "2_conv", "3_bn", "3_conv", "shortcut_conv")
    names = ["stem_conv", "stem_bn"]
    for stage in (1, 2, 3):
        blocks = sum(layer.name.startswith(f"stage{stage}_") for layer in model.layers)
        names += [f"stage{stage}_block{b}_{p}" for b in range(1, blocks + 1) for p in parts]
    existing = {layer.name: layer for layer in model.layers}
    return [existing[n] for n in (*names, "last_bn", "logits") if n in existing]


def randomize(model, seed=0):
    """Random weights everywhere, so that no batch norm is an identity."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        shapes = [w.shape for w in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, shape) for shape in shapes])
        elif shapes:
            fan_in = np.prod(shapes[0][:-1])
            layer.set_weights([rng.normal(0, fan_in**-0.5, shape) for shape in shapes])


@pytest.fixture(scope="module")
def small():
    model = resnet_v2(20, mean=[120.0, 110.0, 100.0], std=[60.0, 61.0, 62.0])
    randomize(model)
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype="uint8")


def test_resnet56v2_has_the_published_number_of_parameters():
    assert resnet_v2(56).count_params() == 1_673_738


def test_same_weights_give_the_same_probabilities_as_the_classic_builder(small, images):
    classic, created = classic_resnet_v2(20)
    ours = weighted_layers(small)
    assert len(ours) == len(created)
    for theirs, layer in zip(created, ours, strict=True):
        theirs.set_weights(layer.get_weights())
    normalized = (images - np.array([120.0, 110, 100])) / np.array([60.0, 61, 62])
    expected = classic.predict(normalized.astype("float32"), verbose=0)
    logits = small.predict(images, verbose=0)
    actual = np.exp(logits - logits.max(1, keepdims=True))
    actual /= actual.sum(1, keepdims=True)
    assert expected.std() > 0.01  # the comparison has something to compare
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=1e-6)


def test_layers_that_others_rely_on(small):
    assert small.input.shape == (None, 32, 32, 3) and small.input.dtype == "uint8"
    assert small.get_layer("last_relu").output.shape == (None, 8, 8, 256)
    assert small.output.shape == (None, 10)
    assert small.get_layer("logits").activation is keras.activations.linear
    assert not small.get_layer("normalize").weights


def test_the_mean_image_of_2019_can_be_subtracted(images):
    mean = np.random.default_rng(2).uniform(100, 140, (32, 32, 3))
    model = resnet_v2(11, mean=mean, std=255.0)
    normalize = keras.Model(model.input, model.get_layer("normalize").output)
    np.testing.assert_allclose(
        normalize.predict(images, verbose=0), (images - mean) / 255, atol=1e-6
    )


def test_layers_follow_the_dtype_policy_and_the_logits_stay_float32():
    model = resnet_v2(11, dtype="mixed_bfloat16")
    assert model.get_layer("stage2_block1_2_conv").compute_dtype == "bfloat16"
    assert model.get_layer("normalize").compute_dtype == "float32"
    assert model.output.dtype == "float32"


def test_saved_model_computes_the_same(small, images, tmp_path):
    small.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), small.predict(images, verbose=0)
    )


def test_stage_table_adds_up_to_the_model():
    model = resnet_v2(56)
    rows = stage_table(model)
    assert [row.name for row in rows] == ["stem", "stage 1", "stage 2", "stage 3", "head"]
    assert sum(row.parameters for row in rows) == 1_673_738
    assert [row.bottlenecks for row in rows] == [0, 6, 6, 6, 0]
    assert rows[0].multiply_adds == 3 * 3 * 3 * 16 * 32 * 32
    assert rows[-1].multiply_adds == 256 * 10
    assert "1,673,738" in format_stage_table(rows).splitlines()[-1]


def test_receptive_field_is_the_square_that_an_output_really_sees():
    model = resnet_v2(11, input_shape=(64, 64, 3), mean=0.0, std=1.0)
    for layer in model.layers:  # positive weights: no influence can cancel or be clipped
        if isinstance(layer, layers.Conv2D):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.full(kernel.shape, 0.1), np.zeros(bias.shape)])
    fields = {row.name: row.receptive_field for row in stage_table(model)}
    probes = np.zeros((65, 64, 64, 3), "uint8")  # one bright pixel each; the last one is black
    probes[range(64), 32, range(64)] = 255
    for stage, name in enumerate(("stage 1", "stage 2", "stage 3"), start=1):
        layer = model.get_layer(f"stage{stage}_block1_add")
        maps = keras.Model(model.input, layer.output).predict(probes, verbose=0)
        center = maps.shape[1] // 2
        center = maps[:, center, center, :]
        seen = np.flatnonzero(np.any(center[:-1] != center[-1], axis=-1))
        assert seen[-1] - seen[0] + 1 == len(seen) == fields[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 50}, "9n . 2.*got 50"),
        ({"depth": 2}, "9n . 2.*got 2"),
        ({"depth": 20.0}, "9n . 2.*got 20.0"),
        ({"depth": 11, "num_classes": 1}, "num_classes must be a whole number of 2 or more, got 1"),
        ({"depth": 11, "input_shape": (30, 32, 3)}, "multiples of 4.*30"),
        ({"depth": 11, "l2": -1e-4}, "l2 must be a finite number of 0 or more, got -0.0001"),
        ({"depth": 11, "l2": float("inf")}, "l2 must be .* got inf"),
        ({"depth": 11, "num_classes": float("nan")}, "num_classes must be .* got nan"),
        ({"depth": 11, "num_classes": 2.5}, "num_classes must be .* got 2.5"),
        ({"depth": 11, "input_shape": (0, 32, 3)}, "multiples of 4.*got .0, 32, 3"),
        ({"depth": 11, "input_shape": (32, None, 3)}, "multiples of 4.*got .32, None, 3"),
        ({"depth": 11, "input_shape": (32, 32, 0)}, "got .32, 32, 0"),
        ({"depth": 11, "bn_momentum": float("nan")}, "bn_momentum must be .* got nan"),
        ({"depth": 11, "mean": float("nan")}, "mean must be finite"),
        ({"depth": 11, "std": float("inf")}, "std finite and > 0"),
        ({"depth": 11, "bn_momentum": 1.0}, "below 1, got 1.0"),
        ({"depth": 11, "std": 0.0}, "std finite and > 0"),
        ({"depth": 11, "mean": [1.0, 2.0]}, "shape"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        resnet_v2(**arguments)


def test_stage_table_refuses_another_model():
    inputs = keras.Input((32, 32, 3))
    with pytest.raises(ValueError, match="no model of resnet_v2"):
        stage_table(keras.Model(inputs, layers.Flatten()(inputs)))


@pytest.mark.parametrize("setting", ["data_format", "floatx", "dtype_policy"])
def test_the_network_does_not_depend_on_settings_of_keras(setting):
    """Such as `~/.keras/keras.json` may hold for another course."""
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype="uint8")

    def logits():
        keras.utils.set_random_seed(1)
        model = resnet_v2(11, augment=Augment(erase_probability=1.0))
        outputs = [model(images, training=False), model(images, training=True)]
        return [keras.ops.convert_to_numpy(output) for output in outputs]

    config = keras.config
    get, put, other = {
        "data_format": (config.image_data_format, config.set_image_data_format, "channels_first"),
        "floatx": (config.floatx, config.set_floatx, "float16"),
        "dtype_policy": (config.dtype_policy, config.set_dtype_policy, "mixed_bfloat16"),
    }[setting]
    expected, before = logits(), get()
    put(other)
    try:
        found = logits()
    finally:
        put(before)
    for theirs, ours in zip(expected, found, strict=True):
        assert ours.shape == (2, 10) and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_head_sees_the_whole_of_a_wide_image():
    assert stage_table(resnet_v2(11, input_shape=(32, 64, 3)))[-1].receptive_field >= 64
