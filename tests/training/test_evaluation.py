"""Predictions and mistakes, counted by hand on four images."""

import re

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


def head():
    return [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]


def sequential():
    return keras.Sequential([keras.Input((16, 16, 3)), *head()])


def called():
    model = sequential()
    model(keras.Input((16, 16, 3)))  # from now on `model.input` is this one
    return model


def nested():
    return keras.Sequential([keras.Input((16, 16, 3)), sequential()])


@pytest.mark.parametrize("build", [sequential, called, nested])
def test_a_sequential_is_evaluated_like_any_other(build):
    model = build()
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")
    found = evaluate(model, images, [0, 1, 2]).probabilities
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict_on_batch(images)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"the shape must be \(n, 16, 16, 3\)"):
        evaluate(model, images[:, :9], [0, 1, 2])


@pytest.mark.parametrize("outputs", [lambda y: {"a": y}, lambda y: [y, 2 * y]])
def test_several_outputs_are_refused_and_the_remedy_works(outputs):
    inputs = keras.Input((2, 2, 3))
    flat = keras.layers.Flatten()(inputs)
    model, images = keras.Model(inputs, outputs(flat)), np.ones((1, 2, 2, 3), "uint8")
    for function in (lambda: predict_logits(model, images), lambda: evaluate(model, images, [0])):
        with pytest.raises(ValueError, match="several outputs or a dictionary") as caught:
            function()
    one = follow(str(caught.value).partition("such as ")[2], model)
    assert evaluate(one, images, [0]).probabilities.shape == (1, 12)


def test_a_map_of_logits_is_refused_and_its_mean_taken():
    inputs = keras.Input((4, 4, 3))
    model, images = keras.Model(inputs, keras.layers.Conv2D(5, 1)(inputs)), np.ones((2, 4, 4, 3))
    with pytest.raises(ValueError, match=r"gives \(None, 4, 4, 5\) where logits") as caught:
        evaluate(model, images, [0, 1])
    mean = follow(str(caught.value).partition("of them is ")[2], model)
    assert evaluate(mean, images, [0, 1]).probabilities.shape == (2, 5)


def test_logits_of_half_precision_are_given_as_float32():
    inputs = keras.Input((2, 2, 3))
    flat = keras.layers.Flatten(dtype="float16")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float16")(flat))
    assert predict_logits(model, np.ones((2, 2, 2, 3), "uint8")).dtype == np.float32


def follow(remedy, model):
    """The model that an error proposes as an expression."""
    return eval(remedy.removesuffix("."), {"keras": keras, "model": model})


def test_a_model_without_a_graph_is_refused_and_the_remedies_work():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = head()

        def call(self, x):
            return self.parts[1](self.parts[0](x))

    images = np.ones((1, 16, 16, 3), "uint8")
    for model in (Subclassed(), keras.Sequential(head())):
        with pytest.raises(ValueError, match="does not say what it takes") as caught:
            evaluate(model, images, [0])
    names = {"keras": keras, "model": model, "height": 16, "width": 16, "channels": 3}
    of_a_sequential = str(caught.value).partition("model: ")[2].partition(" for a Seq")[0]
    exec(of_a_sequential, names)
    assert evaluate(model, images, [0]).labels == [0]
    names["model"] = Subclassed()
    exec(str(caught.value).partition("another one ")[2].removesuffix("."), names)
    assert evaluate(names["model"], images, [0]).labels == [0]


def probabilities(*last):
    return keras.Sequential([keras.Input((16, 16, 3)), *head(), *last])


def by_operation(last="Dense", **options):
    x = keras.Input((16, 16, 3))
    first = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    first = keras.layers.Dense(5, **options)(first)
    last = {"Dense": lambda x: x, "norm": keras.layers.BatchNormalization()}[last]
    return keras.Model(x, keras.ops.softmax(last(first)))


ENDS = {
    "Dense": lambda: probabilities(keras.layers.Dense(5, "softmax")),
    "Softmax": lambda: probabilities(keras.layers.Dense(5), keras.layers.Softmax()),
    "Activation": lambda: probabilities(keras.layers.Dense(5), keras.layers.Activation("softmax")),
    "operation": by_operation,
    "operation behind an activation": lambda: by_operation(activation="tanh"),
    "operation behind a normalization": lambda: by_operation("norm"),
}


@pytest.mark.parametrize("end", ENDS)
def test_probabilities_are_refused_and_the_remedy_works(end):
    model = ENDS[end]()
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")
    labels = np.array([0, 1, 2])
    for function in (evaluate, evaluate_with_mirror):
        with pytest.raises(ValueError, match="gives probabilities, of which") as caught:
            function(model, images, labels)
    lines = re.search(r"; (or: last|from this one take keras.*\))(.*)\.$", str(caught.value))[0]
    lines = lines.removeprefix("; or: ").replace("; from this one take ", "model = ")
    names = {"keras": keras, "model": model}
    exec(lines.removesuffix("."), names)
    expected = model.predict_on_batch(images)
    found = evaluate(names["model"], images, labels).probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_argument_of_keras_that_the_error_names():
    options = {"input_shape": (32, 32, 3), "alpha": 0.25, "weights": None, "classes": 5}
    images = np.zeros((2, 32, 32, 3), "uint8")
    model = keras.applications.MobileNet(**options)
    with pytest.raises(
        ValueError, match="keras.applications builds it with classifier_activation=None"
    ):
        evaluate(model, images, [0, 1])
    model = keras.applications.MobileNet(**options, classifier_activation=None)
    assert evaluate(model, images, [0, 1]).probabilities.shape == (2, 5)


def test_half_precision_sums_to_one_as_near_as_it_can():
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype="uint8")
    model = probabilities(keras.layers.Dense(50, "softmax", dtype="bfloat16"))
    with pytest.raises(ValueError, match="gives probabilities"):
        evaluate(model, images, [0] * 9)


@pytest.mark.parametrize(
    "values",
    [
        [[0.5, 0.5], [1.5, -0.5]],  # sums of 1, but not of probabilities
        [[0.5, 0.5], [0.5, 0.6]],  # one row alone
        [[0.5, 0.502], [0.5, 0.5]],  # near 1, as numbers of four bytes are not near it
        [[1.0], [1.0]],  # one column
    ],
)
def test_logits_that_look_a_little_like_probabilities_are_taken(values):
    values = np.array(values, "float32")
    inputs = keras.Input((1, 1, values.shape[1]))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    model.predict_on_batch = lambda batch: values[: len(batch)]
    images = np.zeros((2, 1, 1, values.shape[1]), "uint8")
    np.testing.assert_array_equal(predict_logits(model, images), values)


def test_one_column_is_refused_and_the_remedy_works():
    model = probabilities(keras.layers.Dense(1))
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype="uint8")
    with pytest.raises(ValueError, match="gives one number an image") as caught:
        evaluate(model, images, [0, 0, 1])
    names = {"keras": keras, "model": model}
    exec(str(caught.value).partition("make two: ")[2].removesuffix("."), names)
    found = evaluate(names["model"], images, [0, 0, 1]).probabilities[:, 1:]
    sigmoid = keras.ops.convert_to_numpy(keras.ops.sigmoid(model.predict_on_batch(images)))
    np.testing.assert_allclose(found, sigmoid, rtol=1e-4, atol=1e-6)
