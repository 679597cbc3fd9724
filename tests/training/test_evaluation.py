"""Predictions and mistakes, counted by hand on four images."""

import keras
import numpy as np
import pytest

from utils.model.answers import network_answer
from utils.model.resnet import resnet_v2, stage_table
from utils.training.evaluation import (
    Predictions,
    evaluate,
    evaluate_with_mirror,
    first_of_each_class,
    predict_logits,
    predict_probabilities,
)


@pytest.fixture
def predictions():
    probabilities = [[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.5, 0.1, 0.4], [0.0, 0.2, 0.8]]
    return Predictions(np.array([0, 0, 2, 2]), np.array(probabilities))


def test_predictions(predictions):
    assert predictions.predicted.tolist() == [0, 1, 0, 2]
    assert predictions.confidence.tolist() == [0.7, 0.9, 0.5, 0.8]
    assert predictions.correct.tolist() == [True, False, False, True]
    assert predictions.confusion().tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_worst_mistakes_come_first(predictions):
    assert predictions.worst_mistakes(5).tolist() == [1, 2]
    assert predictions.worst_mistakes(1).tolist() == [1]
    right = Predictions(np.array([0]), np.array([[0.9, 0.1]]))
    assert right.worst_mistakes(3).size == 0


def test_first_of_each_class():
    assert first_of_each_class(np.array([2, 1, 2, 0, 0])).tolist() == [3, 1, 0]


def test_evaluate_is_the_softmax_of_the_logits():
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    images = np.zeros((2, 32, 32, 3), "uint8")
    images[1] = [0, 1, 2]
    result = evaluate(model, images, np.array([0, 2]))
    expected = np.exp([[0, 0, 0], [0, 1, 2]])
    np.testing.assert_allclose(result.probabilities, expected / expected.sum(1, keepdims=True))
    assert result.correct.all()
    with pytest.raises(ValueError, match="2 images but 1 labels"):
        evaluate(model, images, np.array([0]))


def test_mirror_images_are_averaged_in_the_logits():
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(inputs / 255))
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    labels = np.array([0, 1, 2, 0])
    plain, averaged = evaluate_with_mirror(model, images, labels)
    expected = predict_probabilities(model, images)
    np.testing.assert_array_equal(plain.probabilities, expected)
    mirrored = predict_probabilities(model, images[:, :, ::-1])
    mean = np.sqrt(expected * mirrored)  # logarithms are logits, but for a constant an image
    mean /= mean.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(averaged.probabilities, mean, rtol=1e-5)
    assert np.abs(mean - expected).max() > 1e-3  # the mirror image does count
    with pytest.raises(ValueError, match="4 images but 1 labels"):
        evaluate_with_mirror(model, images, labels[:1])


def test_diverged_network_is_refused():
    inputs = keras.Input((32, 32, 3))
    bad = keras.initializers.Constant(np.nan)
    outputs = keras.layers.Dense(2, kernel_initializer=bad)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="not finite"):
        evaluate(model, np.zeros((1, 32, 32, 3), "uint8"), np.array([0]))


def test_a_network_of_whole_pixels_gets_floats_rounded_as_for_its_heatmaps():
    inputs = keras.Input((2, 2, 3), dtype="uint8")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.ops.cast(inputs, "float32")))
    pixels = np.full((1, 2, 2, 3), 100.9, "float32")
    assert set(predict_logits(model, pixels).ravel()) == {101}


def test_an_input_in_a_list_is_that_of_a_network():
    """So Keras 3.10 brings a network back from its file."""
    network = resnet_v2(11)
    listed = keras.Model([network.inputs[0]], network.outputs[0])
    assert isinstance(listed.input, list), "else this shows nothing"
    images = np.zeros((2, 32, 32, 3), "uint8")
    np.testing.assert_array_equal(predict_logits(listed, images), predict_logits(network, images))
    assert stage_table(listed) == stage_table(network)
    assert "parameters" in network_answer(listed)


def test_no_more_images_than_a_batch_are_predicted_at_once(monkeypatch):
    monkeypatch.setattr("utils.training.evaluation.EVALUATION_BATCH", 4)
    inputs = keras.Input((2, 2, 3))
    model, sizes = keras.Model(inputs, keras.layers.Flatten()(inputs)), []
    predict = model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda x: sizes.append(len(x)) or predict(x))
    images = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 3), "uint8")
    np.testing.assert_array_equal(predict_logits(model, images), images.reshape(10, -1))
    assert sizes == [4, 4, 4]


def test_of_equally_probable_classes_the_first_is_predicted_and_the_next_is_second():
    found = Predictions(np.array([2]), np.array([[0.1, 0.45, 0.45]]))
    assert (found.predicted.tolist(), found.second.tolist()) == ([1], [2])
