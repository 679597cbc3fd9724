"""Which map stands where in the galleries, and where on a photo."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from utils.explain import galleries
from utils.explain.grad_cam import grad_cam
from utils.explain.overlay import overlay
from utils.training.evaluation import Predictions

NAMES = ("ant", "bee", "cow")


@pytest.fixture
def predictions():
    probabilities = [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]]
    return Predictions(np.array([0, 1, 2]), np.array(probabilities))


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")
    return types.SimpleNamespace(x_test=images, class_names=NAMES)


@pytest.fixture
def calls(monkeypatch):
    """What the maps were asked for; each map marks a cell of the diagonal, of its target."""
    asked = []

    def fake(model, images, targets, *, size, method="grad-cam", contrast=None):
        asked.append((method, list(targets), None if contrast is None else list(contrast)))
        return np.stack([np.diag(np.eye(3)[target]) for target in targets])

    monkeypatch.setattr(galleries, "grad_cam", fake)
    return asked


def marks(image, target):
    return overlay(image, np.diag(np.eye(3)[target]))


def test_gallery_explains_the_predicted_class(predictions, dataset, calls):
    images, overlays, captions = galleries.explain(None, dataset, predictions, np.array([1, 0]))
    assert calls == [("grad-cam", [2, 0], None)]
    np.testing.assert_array_equal(overlays[0], marks(dataset.x_test[1], 2))
    assert captions[0] == ("bee", "cow", 0.6) and captions[1] == ("ant", "ant", 0.7)


def test_mistakes_show_the_prediction_first_and_then_the_truth(
    predictions, dataset, calls, monkeypatch
):
    seen = {}
    monkeypatch.setattr(
        galleries, "plot_cam_gallery", lambda *a, **k: seen.update(arguments=a, **k)
    )
    galleries.mistake_gallery(None, dataset, predictions)
    images, pairs, captions = seen["arguments"]
    assert seen["maps"] == ("the prediction", "the truth")
    assert [caption.truth for caption in captions] == ["bee", "cow"]  # most confident first
    np.testing.assert_array_equal(images, dataset.x_test[[1, 2]])
    for image, (first, second), predicted, true in zip(images, pairs, (2, 0), (1, 2)):
        np.testing.assert_array_equal(first, marks(image, predicted))
        np.testing.assert_array_equal(second, marks(image, true))


def test_no_mistakes_no_gallery(dataset, calls):
    right = Predictions(np.array([0, 1, 2]), np.eye(3))
    assert galleries.mistake_gallery(None, dataset, right) is None and not calls


def test_a_first_look_shows_a_right_answer_and_both_sides_of_the_surest_mistake(
    predictions, dataset, calls, monkeypatch
):
    monkeypatch.setattr(galleries, "plot_examples", lambda groups: groups)
    right, wrong = galleries.first_look(None, dataset, predictions)
    assert right[0] == "\u2713 right: ant, 70 % sure"
    assert wrong[0] == "\u2717 wrong: cow, 60 % sure; truth: bee"
    assert [label for label, _ in right[1]] == ["image", "for ant"]
    assert [label for label, _ in wrong[1]] == ["image", "for cow", "for bee"]
    np.testing.assert_array_equal(right[1][1][1], marks(dataset.x_test[0], 0))
    np.testing.assert_array_equal(wrong[1][0][1], dataset.x_test[1])
    np.testing.assert_array_equal(wrong[1][1][1], marks(dataset.x_test[1], 2))
    np.testing.assert_array_equal(wrong[1][2][1], marks(dataset.x_test[1], 1))


@pytest.mark.parametrize("found, mark", [(np.eye(3), "\u2713"), (np.eye(3)[[1, 2, 0]], "\u2717")])
def test_a_first_look_where_all_is_right_or_all_is_wrong(found, mark, dataset, calls, monkeypatch):
    monkeypatch.setattr(galleries, "plot_examples", lambda groups: groups)
    [(text, _)] = galleries.first_look(None, dataset, Predictions(np.array([0, 1, 2]), found))
    assert text.startswith(mark)


def test_methods_explain_the_first_class_and_contrast_it_with_the_second(
    predictions, dataset, calls, monkeypatch
):
    seen = []
    monkeypatch.setattr(galleries, "plot_cam_methods", lambda *arguments: seen.extend(arguments))
    galleries.method_comparison(None, dataset, predictions, np.array([0, 1]))
    assert [call[0] for call in calls[:-1]] == list(galleries.METHOD_NAMES)
    assert all(call[1:] == ([0, 2], None) for call in calls[:-1])
    assert calls[-1] == ("grad-cam", [0, 2], [1, 1])
    assert seen[2] == ["ant,\nnot bee", "cow,\nnot bee"]
    assert list(seen[1]) == [*galleries.METHOD_NAMES.values(), "Grad-CAM,\ncontrast"]


@pytest.mark.parametrize("shape", [(20, 50, 3), (50, 20, 3)])
def test_the_map_lies_on_the_central_square_of_the_photo_alone(shape):
    photo = np.random.default_rng(0).integers(0, 200, shape, dtype="uint8")
    drawn = galleries.photo_overlay(photo, np.ones((8, 8)))
    assert drawn.shape == photo.shape and drawn.dtype == np.uint8
    changed = (drawn != photo).any(axis=2)
    square = np.zeros(shape[:2], bool)
    square[(slice(None), slice(15, 35)) if shape[1] == 50 else (slice(15, 35), slice(None))] = True
    assert not changed[~square].any() and changed[square].mean() > 0.9
    np.testing.assert_array_equal(galleries.photo_overlay(photo, np.zeros((8, 8))), photo)


def own_model(shape, strides):
    keras.utils.set_random_seed(0)
    parts = [layers.Conv2D(5, 3, strides), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return keras.Sequential([keras.Input(shape), *parts])


@pytest.mark.parametrize(
    "shape, strides",
    [((12, 12, 3), 1), ((12, 12, 3), (2, 1)), ((12, 20, 3), 1), ((12, 22, 3), (1, 2))],
)
def test_galleries_of_a_model_of_ones_own(predictions, shape, strides):
    """A `Sequential`, images of any shape, and a grid of cells that are not square."""
    model = own_model(shape, strides)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype="uint8")
    data = types.SimpleNamespace(x_test=images, class_names=NAMES)
    _, overlays, _ = galleries.explain(model, data, predictions, np.arange(3))
    assert {one.shape for one in overlays} == {(round(256 * 12 / shape[1]), 256, 3)}
    maps = grad_cam(model, images, predictions.predicted)
    assert maps.max() == 1
    for image, drawn, heat in zip(images, overlays, maps):
        near, far = (np.abs(drawn - 1.0 * overlay(image, one)).mean() for one in (heat, heat[::-1]))
        assert near <= far / 2
    galleries.class_gallery(model, data, predictions)
    galleries.mistake_gallery(model, data, predictions)
