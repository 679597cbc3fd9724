"""Forms that users of Keras pass every day are taken; others are refused by the form wanted."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import classify, randomize, small

from utils.explain.checks import check_classes, fixed_batches, to_array
from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import grad_cam
from utils.explain.overlay import normalize_maps, overlay, resize_maps


@pytest.fixture(scope="module")
def model():
    return randomize(small(lambda x: classify(layers.Conv2D(4, 3, name="conv")(x))))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")


FORMS = {
    "list of arrays": list,
    "nested lists": lambda x: x.tolist(),
    "tensor": keras.ops.convert_to_tensor,
    "list of tensors": lambda x: [keras.ops.convert_to_tensor(one) for one in x],
    "floats": lambda x: x.astype("float64"),
    "half floats": lambda x: x.astype("float16"),
    "bfloat16 tensor": lambda x: keras.ops.cast(x, "bfloat16"),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_of_every_form(model, pixels, form):
    pixels = pixels // 2  # whole numbers up to 127, which bfloat16 can hold
    expected = grad_cam(model, pixels, 1)
    np.testing.assert_array_equal(grad_cam(model, FORMS[form](pixels), 1), expected)
    assert expected.shape == (3, 16, 16) and expected.max() > 0


def test_gray_images_without_an_axis_of_channels():
    x = keras.Input((16, 16, 1))
    gray = keras.Model(x, classify(layers.Conv2D(4, 3)(x)))
    images = np.random.default_rng(0).random((3, 16, 16))
    np.testing.assert_array_equal(grad_cam(gray, images), grad_cam(gray, images[..., None]))


LABELS = {
    "list": [2, 0, 1],
    "column": np.array([[2], [0], [1]]),
    "unsigned": np.array([2, 0, 1], "uint8"),
    "whole floats": np.array([2.0, 0.0, 1.0]),
    "tensor": keras.ops.convert_to_tensor([2, 0, 1]),
    "list of scalars": list(np.array([2, 0, 1])),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_every_form(form):
    np.testing.assert_array_equal(check_classes(LABELS[form], 3, "targets", 4), [2, 0, 1])


@pytest.mark.parametrize(
    "targets, message",
    [
        (np.eye(4)[[2, 0, 1]], r"one-hot rows take the class: targets.argmax\(axis=1\)"),
        (np.array([True, False, True]), "got bool"),
        ({"a": 1}, "targets must be an array, a tensor or a list of them, got dict"),
        (["cat", "dog", "cat"], "got <U3"),
    ],
)
def test_other_labels_are_refused(model, pixels, targets, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, pixels, targets)


def batches(pixels):
    yield pixels


@pytest.mark.parametrize(
    "make, message",
    [
        (batches, "got generator. From a data set take batches"),
        (lambda x: {"image": x}, "images must be an array.*got dict"),
        (lambda x: "cat.jpg", r"got \(\)"),
        (lambda x: [x[0], x[1][:8]], "must have one shape; those given differ"),
        (lambda x: (x[:2], np.array([1, 2])), "those given differ"),  # images and labels
        (lambda x: None, "got NoneType"),
        (lambda x: [], r"N >= 1, got \(0,\)"),
    ],
)
def test_other_images_are_refused(model, pixels, make, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, make(pixels))
    with pytest.raises(ValueError, match=message):
        GradCAM(model)(make(pixels))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
def test_a_tf_data_set_is_refused_and_its_batches_are_taken(model, pixels):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((pixels, [1, 0, 1])).batch(3)
    with pytest.raises(ValueError, match="for images, labels in dataset"):
        grad_cam(model, dataset)
    for images, labels in dataset:
        maps = grad_cam(model, images, labels)
    np.testing.assert_array_equal(maps, grad_cam(model, pixels, [1, 0, 1]))


def test_sizes(model, pixels):
    assert grad_cam(model, pixels, size=(8, 20)).shape == (3, 8, 20)
    for bad in ((8,), (8, 0), "INPUT", 2.0):
        with pytest.raises(ValueError, match='size must be "input", None, an int'):
            grad_cam(model, pixels, size=bad)


def test_layers_may_be_given_as_such(model, pixels):
    conv = model.get_layer("conv")
    expected = grad_cam(model, pixels, 1, "conv")
    np.testing.assert_array_equal(grad_cam(model, pixels, 1, conv), expected)
    np.testing.assert_array_equal(grad_cam(model, pixels, 1, [conv, "conv"]), expected)


def test_maps_of_another_form_are_refused():
    maps = np.random.default_rng(0).random((2, 4, 4), "float32")
    for function in (normalize_maps, lambda x: resize_maps(x, (8, 8))):
        assert function(keras.ops.convert_to_tensor(maps)).shape[0] == 2
        for bad in (maps[0], maps[:0], maps.astype(int)):
            with pytest.raises(ValueError, match=r"maps must be float \(N, h, w\)"):
                function(bad)
    assert resize_maps(maps.astype("float16"), (8, 8)).shape == (2, 8, 8)
    for size in (8, (8,), (8, 0), (8, 8.0)):
        with pytest.raises(ValueError, match=r"size must be \(height, width\)"):
            resize_maps(maps, size)


def test_overlay_of_gray_images_and_of_floats():
    gray = np.random.default_rng(0).integers(0, 256, (8, 8), dtype="uint8")
    heat = np.eye(8)
    expected = overlay(np.repeat(gray[..., None], 3, axis=2), heat)
    np.testing.assert_array_equal(overlay(gray, heat), expected)
    np.testing.assert_array_equal(
        overlay(keras.ops.convert_to_tensor(gray)[..., None], heat), expected
    )
    with pytest.raises(ValueError, match=r"got floats up to 1.*pass 255 \* image"):
        overlay(gray / gray.max(), heat)
    assert overlay(gray // 255, heat).shape == (256, 256, 3)  # a dark image of whole numbers


def test_batches_of_one_size():
    rows = fixed_batches(7, 3)
    assert rows.shape == (3, 3) and rows.ravel()[:7].tolist() == list(range(7))
    assert rows[2].tolist() == [6, 6, 6]
    assert to_array([1, 2], "x").tolist() == [1, 2]
