"""A device without room for a batch: a size that fits is taken, or named with where it is set."""

import functools
import re
from dataclasses import replace

import keras
import numpy as np
import pytest
from sample_data import noise
from small_models import classify, small

from utils.commands.arguments import exit_status
from utils.explain.explainer import GradCAM
from utils.explain.score_cam import ScoreCAM
from utils.out_of_memory import OutOfMemoryError, batches_of, is_out_of_memory
from utils.settings import RECIPES
from utils.training import evaluation
from utils.training.fit import fit
from utils.training.range_test import range_test
from utils.training.recipe_model import compile_model

RECIPE = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=8, max_lr=0.05)
RECIPE = replace(RECIPE, pct_start=0.6)  # of two steps
TOO_MUCH = 2**46  # float32 numbers: more than a process of today can address


@functools.cache  # TensorFlow waits ten seconds for memory before it gives up
def own_error():
    """The error of the backend when it is asked for more memory than there is."""
    try:
        keras.ops.convert_to_numpy(keras.ops.zeros((TOO_MUCH,)))
    except Exception as error:
        return error


def too_much():
    raise own_error()


@keras.saving.register_keras_serializable(package="tests")
class SmallDevice(keras.layers.Layer):
    """Passes batches on up to a size, above which the backend's own lack of memory comes out."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def call(self, images):
        if is_concrete(images) and len(images) > self.limit:
            raise own_error()
        return images


def is_concrete(images):
    """Whether there are numbers: not while Keras builds the model or a step is traced."""
    try:
        return np.asarray(images) is not None
    except Exception:
        return False


def network(limit, recipe=RECIPE):
    """A small network, compiled for a recipe, on a device with room for `limit` images."""
    inputs = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 255)(SmallDevice(limit)(inputs))
    stem = keras.layers.Conv2D(4, 3, 4, name="stem_conv")(scaled)
    pooled = keras.layers.GlobalAveragePooling2D()(stem)
    model = keras.Model(inputs, keras.layers.Dense(10)(pooled))
    compile_model(model, recipe, 8)
    model.run_eagerly = True  # so that every step sees its batch
    return model


def test_the_error_of_this_backend_is_recognized():
    assert is_out_of_memory(own_error())
    assert not is_out_of_memory(ValueError("another"))
    with pytest.raises(KeyError), batches_of(4, str):
        raise KeyError("passes unchanged")


def test_a_single_image_cannot_be_halved():
    with pytest.raises(OutOfMemoryError, match="single image.*more memory, or the CPU"):
        with batches_of(1, str):
            too_much()


def test_an_inner_batch_keeps_its_word():
    with pytest.raises(OutOfMemoryError, match="batch of 4 images.*A batch of 2 needs.*inner 2"):
        with batches_of(100, str), batches_of(4, "inner {}".format):
            too_much()


def test_a_training_goes_on_elsewhere_or_begins_anew_with_half(tmp_path, capsys):
    data, folder, quiet = noise(8, 2), tmp_path / "run", lambda line: None

    def train(limit, recipe=RECIPE, folder=folder):
        return fit(network(limit, recipe), recipe, data, folder, report=quiet)

    with pytest.raises(OutOfMemoryError) as caught:
        train(limit=4)
    text = str(caught.value)
    assert re.search(r"batch of 8 images.*A batch of 4 .*goes on with the same command", text)
    assert str(folder) in text and "did fit" not in text
    assert exit_status(lambda: train(limit=4)) == 1  # in the shell, one line
    assert "error: The device has no room" in capsys.readouterr().err
    assert [row["epoch"] for row in train(limit=8)] == [1, 2]  # more memory: the same run
    smaller = replace(RECIPE, batch_size=4, max_lr=0.025)
    assert "replace(recipe, batch_size=4, max_lr=0.025)" in text
    with pytest.raises(ValueError, match="another recipe"):
        train(limit=4, recipe=smaller)  # not in the same folder
    assert len(train(limit=4, recipe=smaller, folder=tmp_path / "anew")) == 2


def test_after_epochs_that_fitted_something_else_has_the_memory(tmp_path):
    data, recipe = noise(8, 2), replace(RECIPE, epochs=1)
    model = network(8)

    def report(line):
        if line.split()[0] == "1":  # the first epoch is done
            model.layers[1].limit = 4

    with pytest.raises(OutOfMemoryError, match="after 1 epochs that did fit: see what else"):
        fit(model, replace(recipe, epochs=2), data, tmp_path, report=report)


def test_prediction(monkeypatch):
    """It halves its batches by itself: a training of hours must not end in its evaluation."""
    model, images = network(limit=6), noise(1, 20).x_test
    asked, predict = [], model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda x: asked.append(len(x)) or predict(x))
    logits = evaluation.predict_logits(model, images)
    assert asked == [20, 10, 5, 5, 5, 5]
    model.layers[1].limit = 500
    np.testing.assert_allclose(logits, evaluation.predict_logits(model, images), atol=1e-5)
    model.layers[1].limit = 0
    with pytest.raises(OutOfMemoryError, match="no room for a single image"):
        evaluation.predict_logits(model, images)


@pytest.mark.parametrize("name", ["batches", "held_out"])
def test_range_test(name):
    images, labels = noise(16, 1).x_train, np.arange(16) % 10
    large, small_ones = (
        [(images[i : i + n], labels[i : i + n]) for i in range(0, 16, n)] for n in (8, 4)
    )
    model = network(limit=4)
    before = model.get_weights()
    with pytest.raises(OutOfMemoryError, match=f"batch of 8.*Pass {name} of 4 images"):
        held_out = large if name == "held_out" else None
        batches = small_ones if held_out else large
        range_test(model, batches, num_steps=11, held_out=held_out)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)  # given back, as after any interruption
    held_out = small_ones if name == "held_out" else None
    result = range_test(model, small_ones, num_steps=11, end_lr=1e-3, held_out=held_out)
    assert len(result.lr) == 11


@pytest.mark.parametrize("explain", [GradCAM, ScoreCAM])
def test_explaining(explain, monkeypatch):
    one = explain(small(lambda x: classify(keras.layers.Conv2D(3, 3, activation="relu")(x))))
    name = "_explain" if explain is GradCAM else "_channels"
    run = getattr(one, name)

    def limited(images, *rest):
        if len(images) > 2:
            too_much()
        return run(images, *rest)

    monkeypatch.setattr(one, name, limited)
    images = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3)).astype("float32")
    with pytest.raises(OutOfMemoryError, match="batch of 4.*Pass batch_size=2"):
        one(images)
    assert len(one(images, batch_size=2).maps) == 4
