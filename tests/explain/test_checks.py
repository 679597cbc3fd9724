"""Forms that users of Keras pass every day are taken; others are refused by the form wanted."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from small_models import classify, randomize, small

from utils.explain.checks import check_classes, fixed_batches, to_array
from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import grad_cam
from utils.explain.image_checks import images_for_model
from utils.explain.overlay import normalize_maps, overlay, resize_maps
from utils.explain.perturbation import insertion_deletion, mean_interval, perturbation_table
from utils.explain.pointing import convex_hulls, energy_inside, pointing_game, pointing_table
from utils.explain.randomization import spearman


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


def test_one_image_of_three_channels_is_no_stack_of_gray_ones(pixels):
    x = keras.Input((None, None, 1))
    gray = keras.Model(x, classify(layers.Conv2D(4, 3, padding="same")(x)))
    with pytest.raises(ValueError, match=r"takes 1 channels.*One image is image\[None\]"):
        grad_cam(gray, pixels[0])
    assert grad_cam(gray, pixels[..., 0]).shape == (3, 16, 16)


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
        (["cat", "dog", "cat"], "targets must be numbers, got text, 'cat'"),
        (np.eye(4)[[2, 0, 1]] + np.eye(4)[3], "explains one label: name one, such as targets=3"),
    ],
)
def test_other_labels_are_refused(model, pixels, targets, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, pixels, targets)


CLASS_NAMES = ("cat", "dog", "frog", "horse")


@pytest.mark.parametrize("targets", ["dog", ["dog", "cat", "dog"], np.array(["dog", "cat", "dog"])])
def test_names_of_classes_are_refused_and_the_remedy_works(model, pixels, targets):
    for name in ("targets", "contrast"):
        with pytest.raises(ValueError, match=f"{name} must be numbers, got text, 'dog'") as caught:
            grad_cam(model, pixels, **{name: targets})
        remedy = re.search(r"Pass its number: (.*)\.$", str(caught.value))[1]
        assert eval(remedy, {"class_names": CLASS_NAMES}) == 1


def test_none_for_single_images_is_refused_and_the_remedy_works(model, pixels):
    given = [None, 1, 2]
    with pytest.raises(ValueError, match="targets may be None for all images, not for") as caught:
        grad_cam(model, pixels, given)
    predicted = re.search(r"one of (.*)\.$", str(caught.value))[1]
    predicted = eval(predicted, {"model": model, "images": pixels})
    mended = [p if one is None else one for one, p in zip(given, predicted, strict=True)]
    expected = [grad_cam(model, pixels[i : i + 1], given[i])[0] for i in range(3)]
    np.testing.assert_allclose(grad_cam(model, pixels, mended), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [str, Path, lambda name: [name, name]])
def test_the_name_of_a_file_is_refused_and_the_remedy_works(model, tmp_path, kind):
    path = tmp_path / "cat.png"
    Image.new("RGB", (40, 30), (200, 0, 0)).save(path)
    with pytest.raises(ValueError, match="got text, '.*'. Read the file: ") as caught:
        grad_cam(model, kind(str(path)))
    names = {"side": 16}
    exec(re.search(r"file: (.*), with the side", str(caught.value))[1], names)
    assert grad_cam(model, names["images"], 1).shape == (1, 16, 16)


def test_images_of_pillow(model, pixels):
    expected = grad_cam(model, pixels, 1)
    photos = [Image.fromarray(one) for one in pixels]
    np.testing.assert_array_equal(grad_cam(model, photos, 1), expected)


SIDES = {"side": (16, 16), "any side": (None, None)}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize(
    "channels, change, message",
    [
        (3, lambda x: x[..., :1], r"takes 3 channels \(RGB\), these have 1 channels \(gray\)"),
        (3, lambda x: np.concatenate([x, x[..., :1]], axis=-1), r"have 4 channels \(RGBA\)"),
        (1, lambda x: x, r"takes 1 channels \(gray\), these have 3 channels \(RGB\)"),
        (1, lambda x: np.concatenate([x, x[..., :1]], axis=-1), r"have 4 channels \(RGBA\)"),
        (3, lambda x: x[..., 0], "Without channels they are gray"),
        (3, lambda x: x.transpose(0, 3, 1, 2), "Channels stand last"),
        (3, lambda x: x[0], "For one image pass"),
        (3, lambda x: np.ones((2, 20, 12, 3)), "Resize them"),
    ],
)
def test_the_remedy_for_images_of_a_wrong_shape(pixels, sides, channels, change, message):
    images = change(pixels)
    if sides == "any side" and "Resize" in message:
        assert len(images_for_model(images, (None, None, None, 3), "float32")) == 2
        return
    with pytest.raises(ValueError, match=message) as caught:
        images_for_model(images, (None, *SIDES[sides], channels), "float32")
    remedy = re.search(r"(?:pass|Resize them:) (.*)\.$", str(caught.value))[1]
    mended = eval(remedy, {"np": np, "keras": keras, "images": images, "image": images})
    taken = images_for_model(mended, (None, 16, 16, channels), "float32")
    assert taken.shape[1:] == (16, 16, channels)


def test_images_of_channels_that_no_remedy_is_known_for(pixels):
    with pytest.raises(ValueError, match=r"takes 6 channels, these have 3 channels \(RGB\)\.$"):
        images_for_model(pixels, (None, 16, 16, 6), "float32")
    with pytest.raises(ValueError, match=r"have 1 channels.*One image is image\[None\]"):
        images_for_model(pixels[0, ..., :1], (None, 16, 16, 3), "float32")


def batches(pixels):
    yield pixels


@pytest.mark.parametrize(
    "make, message",
    [
        (batches, "got generator. From a data set take batches"),
        (lambda x: {"image": x}, "images must be an array.*got dict. Take it from.*'image'"),
        (lambda x: "cat.jpg", "images must be numbers, got text, 'cat.jpg'"),
        (lambda x: [*x.astype(object)], r"got object. Of arrays.*np.stack\(list\(images\)\)"),
        (lambda x: [x[0], x[1][:8]], "must have one shape; those given differ"),
        (lambda x: (x[:2], np.array([1, 2])), "those given differ.*alone, without labels"),
        (lambda x: None, "got NoneType. Does the function that makes them return them"),
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


TEXT = np.full((2, 8, 8), "0.5")


@pytest.mark.parametrize("array", [TEXT, TEXT.astype(object)])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: overlay(x[0], np.ones((8, 8))),
        lambda x: overlay(np.ones((8, 8), "uint8"), x[0]),
        lambda x: overlay(np.ones((8, 8), "uint8"), np.ones((8, 8)), max_opacity=x[0, 0, 0]),
        normalize_maps,
        lambda x: resize_maps(x, (8, 8)),
        lambda x: pointing_game(x, np.ones((2, 8, 8), bool)),
        lambda x: energy_inside(np.ones((2, 8, 8)), x),
        lambda x: convex_hulls(x),
        lambda x: pointing_table({"one": x}, np.ones((2, 8, 8), bool)),
        lambda x: insertion_deletion(len, x[..., None], np.ones((2, 8, 8)), 0),
        lambda x: insertion_deletion(len, np.ones((2, 8, 8, 1)), x, 0),
        lambda x: insertion_deletion(len, np.ones((2, 8, 8, 1)), np.ones((2, 8, 8)), x[:, 0, 0]),
        lambda x: insertion_deletion(
            lambda n: np.full((len(n), 2), x[0, 0, 0]),
            np.ones((2, 8, 8, 1)),
            np.ones((2, 8, 8)),
            0,
            steps=2,
            baseline="mean",
        ),
        lambda x: mean_interval(x[0, 0]),
        lambda x: spearman(x[0], np.ones((8, 8))),
    ],
)
def test_text_and_objects_are_refused_everywhere(function, array):
    with pytest.raises(ValueError, match="must be (numbers|an int >= 1 and max_opacity)"):
        function(array)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: insertion_deletion("model", x[..., None], x, 0), "predict must be a function"),
        (lambda x: perturbation_table([x]), "curves must be a dict.*got list"),
        (lambda x: spearman(x[0], x), "of one size"),
        (lambda x: spearman(x, x * np.nan), "finite"),
    ],
)
def test_other_forms_of_proofs_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        function(np.ones((2, 8, 8)))
