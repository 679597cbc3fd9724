"""The fused layer computes what Keras's layer computes: outputs, gradients, moving averages."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.model.batch_norm import FusedBatchNormalization

TOLERANCE = {"float32": 2e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 3e-3}


def pair(dtype="float32", shape=(None, 6, 5, 8), **arguments):
    """Keras's layer and ours with the same random weights."""
    rng = np.random.default_rng(3)
    found = []
    for kind in (layers.BatchNormalization, FusedBatchNormalization):
        layer = kind(momentum=0.7, dtype=dtype, **arguments)
        layer.build(shape)
        found.append(layer)
    weights = [rng.uniform(0.5, 1.5, w.shape) for w in found[0].get_weights()]
    for layer in found:
        layer.set_weights(weights)
    return found


def inputs(shape=(7, 6, 5, 8), scale=3.0, offset=2.0):
    return (offset + scale * np.random.default_rng(4).normal(size=shape)).astype("float32")


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


@pytest.mark.parametrize("dtype", sorted(TOLERANCE))
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_moving_averages_are_those_of_keras(dtype, training):
    theirs, ours = pair(dtype)
    x = ops.cast(inputs(), theirs.compute_dtype)
    for _ in range(3):
        a, b = theirs(x, training=training), ours(x, training=training)
    assert keras.backend.standardize_dtype(b.dtype) == theirs.compute_dtype
    np.testing.assert_allclose(numpy(b), numpy(a), rtol=0, atol=5 * TOLERANCE[dtype])
    for mine, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-5)


def test_the_variance_averaged_is_the_biased_one():
    """With four values a channel the kernel's own variance would be a third too large."""
    _, ours = pair(shape=(None, 1, 2, 8))
    before, x = ours.get_weights()[3], inputs((2, 1, 2, 8))
    ours(x, training=True)
    expected = 0.7 * before + 0.3 * x.reshape(4, 8).var(0)
    np.testing.assert_allclose(ours.get_weights()[3], expected, rtol=1e-5)


def test_a_frozen_layer_uses_the_moving_averages_and_keeps_them():
    theirs, ours = pair()
    theirs.trainable = ours.trainable = False
    before = ours.get_weights()
    np.testing.assert_allclose(
        numpy(ours(inputs(), training=True)), numpy(theirs(inputs(), training=True)), atol=2e-5
    )
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("arguments", [{"scale": False}, {"center": False}, {"epsilon": 0.1}])
def test_options_mean_what_they_mean_in_keras(arguments):
    theirs, ours = pair(**arguments)
    for training in (False, True):
        a, b = theirs(inputs(), training=training), ours(inputs(), training=training)
        np.testing.assert_allclose(numpy(b), numpy(a), atol=2e-5)


@pytest.mark.parametrize(
    "arguments, shape",
    [({}, (7, 8)), ({"axis": 1}, (7, 6, 5, 8)), ({"dtype": "float64"}, (7, 6, 5, 8))],
    ids=["rank 2", "channels first", "float64"],
)
def test_what_the_kernel_does_not_take_goes_the_way_of_keras(arguments, shape):
    theirs, ours = pair(shape=(None, *shape[1:]), **arguments)
    x = inputs(shape)
    np.testing.assert_array_equal(numpy(ours(x, training=True)), numpy(theirs(x, training=True)))


def test_training_with_it_is_training_with_keras():
    """Gradients too: three steps of SGD end in the same weights."""
    trained = []
    for kind in (layers.BatchNormalization, FusedBatchNormalization):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                layers.Input((6, 5, 8)),
                layers.Conv2D(4, 3, use_bias=False),
                kind(),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
        model.compile(keras.optimizers.SGD(0.1), "mse")
        y = np.random.default_rng(6).normal(size=(7, 3))
        model.fit(inputs(), y, epochs=3, batch_size=7, verbose=0)
        trained.append(model.get_weights())
    for mine, reference in zip(trained[1], trained[0], strict=True):
        np.testing.assert_allclose(mine, reference, rtol=1e-4, atol=1e-5)


def test_a_saved_model_comes_back_the_same(tmp_path):
    _, layer = pair()
    model = keras.Sequential([layers.Input((6, 5, 8)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[-1], FusedBatchNormalization)
    np.testing.assert_array_equal(
        loaded.predict(inputs(), verbose=0), model.predict(inputs(), verbose=0)
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a kernel of TensorFlow")
def test_on_tensorflow_it_is_one_kernel():
    import tensorflow as tf

    _, layer = pair()
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
        tf.TensorSpec((None, 6, 5, 8), tf.float32)
    )
    kinds = [op.type for op in graph.graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1 and "Rsqrt" not in kinds


@pytest.mark.parametrize("option", ["mask", "synchronized"])
def test_masked_inputs_and_synchronized_layers_go_the_way_of_keras(option):
    if option == "synchronized" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras synchronizes on TensorFlow only")
    theirs, ours = pair(synchronized=True) if option == "synchronized" else pair()
    masks = {"mask": np.arange(7 * 6 * 5).reshape(7, 6, 5) % 3 > 0} if option == "mask" else {}
    a, b = (one(inputs(), training=True, **masks) for one in (theirs, ours))
    np.testing.assert_array_equal(numpy(b), numpy(a))
    for mine, reference in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, reference)
