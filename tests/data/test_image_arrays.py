"""Images and labels in the wrong form: refused, with the form that is wanted."""

import keras
import numpy as np
import pytest

from utils.data.batches import Batches
from utils.data.image_arrays import check_images, check_labels
from utils.training.evaluation import evaluate

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype="uint8")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES / 255, r"float64 in 0..1; .* 0..255.*images \* 255"),
        (IMAGES.astype(int) - 256, r"int64 from -256 to -1; the network takes raw pixels, 0..255"),
        (IMAGES.astype("uint16") + 256, "uint16 from 256 to 511"),
        (IMAGES > 127, "images of bool; pixels are numbers. Pass them as uint8"),
        (IMAGES.astype(complex), "complex128"),
        ([IMAGES[0], IMAGES[1, :4]], r"the shapes \(4, 8, 3\), \(8, 8, 3\); all must have one"),
        (IMAGES[0], r"shape \(8, 8, 3\).*image\[None\]"),
        (IMAGES[:0], r"shape \(0, 8, 8, 3\).*at least 1 image"),
        (IMAGES[:, :4], r"shape \(4, 4, 8, 3\); the shape must be \(n, 8, 8, 3\)"),
        (IMAGES[..., :1], r"shape \(4, 8, 8, 1\)"),
        ((image for image in IMAGES), "a generator where images are wanted.*np.concatenate"),
        ({"pixels": IMAGES}, "a dict where images are wanted"),
    ],
)
def test_images_of_another_form_are_refused(images, words):
    with pytest.raises(ValueError, match=words):
        check_images(images, (8, 8, 3))


def test_a_tf_data_set_is_refused_and_its_images_are_taken():
    tf = pytest.importorskip("tensorflow")
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, [0, 1, 2, 3])).batch(2)
    with pytest.raises(ValueError, match="np.concatenate"):
        check_images(batches)
    np.testing.assert_array_equal(check_images(np.concatenate([x for x, _ in batches])), IMAGES)


def test_the_remedies_are_accepted():
    remedy = (IMAGES / 255 * 255).round().astype("uint8")
    np.testing.assert_array_equal(check_images(remedy, (8, 8, 3)), IMAGES)
    check_images(IMAGES[0][None], (8, 8, 3))
    for dtype in ("float32", "float16", "int32", "uint16"):
        check_images(IMAGES.astype(dtype), (None, None, 3))
    check_images((IMAGES > 127).astype("uint8"), (8, 8, 3))
    check_images(np.zeros((1, 8, 8, 3), "float32"))  # black is black in any unit
    assert check_labels(np.eye(4)[[2, 0]].argmax(axis=1), 2).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.eye(4), r"shape \(4, 4\).*argmax\(axis=1\)"),
        ([0, 1, 2], "4 images but 3 labels"),
        ([0, 1, 2, 0.5], "whole numbers"),
        ([0, 1, 2, -1], "from -1 to 2; they must be from 0 to 3"),
        (["cat", "dog", "cat", "dog"], r"labels such as \['cat'\].*class_names.index"),
        (np.array([0, 1, 2, None]), r"labels such as \[0\].*whole numbers"),
        ([0, 1, 2, 4], "from 0 to 4; they must be from 0 to 3"),
    ],
)
def test_labels_of_another_form_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        check_labels(labels, 4, 4)


def test_labels_of_keras_datasets_are_a_column():
    assert check_labels(np.array([[3], [1]]), 2).tolist() == [3, 1]
    batches = Batches(IMAGES, np.array([[3], [1], [2], [0]]), 2)
    assert keras.ops.convert_to_numpy(batches[0][1]).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("images", "batch_size", "words"),
    [
        (IMAGES.astype("float32"), 2, r'images of float32; .*astype\("uint8"\)'),
        (IMAGES, 0, "batch_size must be a whole number of 1 or more, got 0"),
        (IMAGES, 1.5, "got 1.5"),
        (IMAGES, float("nan"), "batch_size must .* got nan"),
        (IMAGES, float("inf"), "batch_size must .* got inf"),
        (IMAGES, "2", "batch_size must .* got '2'"),
    ],
)
def test_batches_are_of_raw_pixels(images, batch_size, words):
    with pytest.raises(ValueError, match=words):
        Batches(images, np.arange(4), batch_size)


def test_evaluation_refuses_a_dictionary_of_outputs_and_images_of_another_size():
    inputs = keras.Input((8, 8, 3))
    scores = keras.layers.GlobalAveragePooling2D(name="scores")(inputs)
    model = keras.Model(inputs, {"scores": scores})
    with pytest.raises(ValueError, match="several outputs or a dictionary"):
        evaluate(model, IMAGES, np.zeros(4, int))
    remedy = keras.Model(model.inputs[0], model.outputs[0])
    assert len(evaluate(remedy, IMAGES, np.zeros(4, int)).labels) == 4
    with pytest.raises(ValueError, match=r"must be \(n, 8, 8, 3\)"):
        evaluate(remedy, IMAGES[:, :4], np.zeros(4, int))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((-1.0, 1.0), "float32 from -1 to 1"),  # as other networks take them
        ((0.0, 256.0), "float32 from 0 to 256"),
        ((0.5, float("nan")), "float32 from nan to nan"),
        ((0.5, float("inf")), "float32 from 0.5 to inf"),
    ],
)
def test_floats_that_are_no_pixels_are_refused(values, words):
    images = np.resize(np.array(values, "float32"), (1, 2, 2, 3))
    with pytest.raises(ValueError, match=f"Received images of {words}; the network takes raw"):
        check_images(images)


def test_raw_pixels_as_floats_are_taken():
    for low, high in ((0.0, 255.0), (-1e-5, 255.0001)):  # the second after a blur
        images = np.resize(np.array([low, high], "float32"), (1, 2, 2, 3))
        assert check_images(images) is images


@pytest.mark.parametrize("seed", [-1, 1.5, float("nan"), float("inf")])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=f"seed must be a whole number of 0 or more, got {seed}"):
        Batches(IMAGES, np.arange(4), 2, seed)
