"""Choosing images for the gallery, and their maps as bytes, against one call of `grad_cam` each."""

import keras
import numpy as np
import pytest
from small_models import randomize

from utils.explain.grad_cam import grad_cam
from utils.explain.graph import Graph
from utils.explain.map_sets import (
    METHODS,
    choose_images,
    make_map_set,
    stage_layers,
    wanted_classes,
)
from utils.model.resnet import resnet_v2
from utils.training.evaluation import Predictions

NAMES = ("cat", "dog", "frog")
PREDICTIONS = Predictions(
    np.array([0, 0, 1, 2, 0]),
    np.array(
        [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.05, 0.05, 0.9], [0.1, 0.8, 0.1]]
    ),
)


@pytest.mark.parametrize(
    "choice, positions, what",
    [
        ({}, [4, 2, 1], "mistakes"),
        ({"of_class": "cat"}, [4, 0, 1], "images of class cat"),
        ({"of_class": " Frog"}, [3], "images of class frog"),
        ({"cell": "cat,dog"}, [4, 1], "images of class cat taken for dog"),
        ({"cell": "cat, cat"}, [0], "images of class cat taken for cat"),
    ],
)
def test_images_are_chosen_the_surest_first(choice, positions, what):
    chosen, said = choose_images(PREDICTIONS, NAMES, **choice)
    assert (chosen.tolist(), said) == (positions, what)


def test_all_images_take_the_place_of_mistakes_that_do_not_exist():
    right = Predictions(PREDICTIONS.predicted, PREDICTIONS.probabilities)
    chosen, said = choose_images(right, NAMES)
    assert (chosen.tolist(), said) == ([3, 4, 0, 2, 1], "images, since there are no mistakes")


@pytest.mark.parametrize(
    "choice, message",
    [
        ({"of_class": "dgo"}, "Unknown class 'dgo'; did you mean dog[?] Classes: cat, dog, frog"),
        ({"cell": "cat"}, "A cell is two classes, true and predicted, as \"cat,dog\"; got 'cat'"),
        ({"cell": "cat,dog,frog"}, "got 'cat,dog,frog'"),
        ({"cell": "dog,cat"}, "Among 5 test images there are no images of class dog taken for cat"),
        ({"of_class": "cat", "cell": "cat,dog"}, "not both: got class 'cat', cell 'cat,dog'"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        choose_images(PREDICTIONS, NAMES, **choice)


def test_each_pair_of_image_and_class_is_wanted_once():
    wanted = wanted_classes(PREDICTIONS)
    predicted, true, second = wanted.classes[wanted.rows].T
    np.testing.assert_array_equal(predicted, PREDICTIONS.predicted)
    np.testing.assert_array_equal(true, PREDICTIONS.labels)
    assert second[[0, 1, 2]].tolist() == [1, 2, 1]
    np.testing.assert_array_equal(wanted.images[wanted.rows], np.arange(5)[:, None] * [1, 1, 1])
    pairs = list(zip(wanted.images.tolist(), wanted.classes.tolist()))
    assert len(set(pairs)) == len(pairs)


def test_layers_go_from_the_last_activation_to_the_first_stage():
    assert stage_layers(resnet_v2(20)) == {
        "last_relu": ("last activation", 8),
        "stage3_block2_add": ("end of stage 3", 8),
        "stage2_block2_add": ("end of stage 2", 16),
        "stage1_block2_add": ("end of stage 1", 32),
    }


def test_the_layers_of_a_backbone_have_the_names_that_lead_to_them():
    options = {"include_top": False, "weights": None, "input_shape": (64, 64, 3)}
    for backbone, last, side in (
        (keras.applications.MobileNet(**options, alpha=0.25), "conv_pw_13_relu", 2),
        (residual(), "relu", 8),
    ):
        x = keras.Input(backbone.input_shape[1:])
        y = keras.layers.GlobalAveragePooling2D()(backbone(x))
        model = keras.Model(x, keras.layers.Dense(3)(y))
        found = stage_layers(model)
        assert found.pop(f"{backbone.name}/{last}") == ("last activation", side)
        assert list(found.items()) == backbone.name.startswith("residual") * [
            ("residual/conv3_block1_add", ("end of conv3", 8)),
            ("residual/conv2_block2_add", ("end of conv2", 16)),
        ]
        for name in found:
            Graph(model).find(name)
    anything = keras.Input((None, None, 3))
    y = keras.layers.Conv2D(3, 3, name="conv")(anything)
    model = keras.Model(anything, keras.layers.GlobalAveragePooling2D()(y))
    assert stage_layers(model) == {"conv": ("last activation", None)}


def residual():
    """Named as those of Keras; with a sum of numbers, which is no stage."""
    x = image = keras.Input((16, 16, 3))
    for name in ("conv2_block1", "conv2_block2", "conv3_block1"):
        x = keras.layers.MaxPooling2D()(x) if name == "conv3_block1" else x
        y = keras.layers.Conv2D(3, 3, padding="same", name=f"{name}_conv")(x)
        x = keras.layers.Add(name=f"{name}_add")([x, y])
    gate = keras.layers.GlobalAveragePooling2D()(x)
    gate = keras.layers.Add(name="gate_add")([gate, gate])
    x = keras.layers.Multiply()([x, keras.layers.Reshape((1, 1, 3))(gate)])
    return keras.Model(image, keras.layers.ReLU(name="relu")(x), name="residual")


OWN = ("Cat", "dog", "DOG", "sea lion")


@pytest.mark.parametrize(
    "typed, meant", [("Cat", 0), ("cat", 0), ("DOG", 2), ("dog", 1), (" Sea Lion", 3)]
)
def test_names_of_classes_are_found_however_they_are_written(typed, meant):
    labels = np.arange(4)
    chosen, said = choose_images(Predictions(labels, np.eye(4)), OWN, of_class=typed)
    assert chosen.tolist() == [meant] and said == f"images of class {OWN[meant]}"


def test_a_name_that_is_nearly_one_is_told_as_it_is_written():
    with pytest.raises(ValueError, match="Unknown class 'CTA'; did you mean Cat[?] Classes: Cat"):
        choose_images(PREDICTIONS, ("Cat", "Dog", "Frog"), of_class="CTA")


def test_maps_are_those_of_grad_cam_in_bytes(monkeypatch):
    """Also over several batches, the last of them not full."""
    monkeypatch.setattr("utils.explain.map_sets.BATCH", 4)
    model, layer = randomize(resnet_v2(11, num_classes=3)), "stage2_block1_add"
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), "uint8")
    wanted = wanted_classes(PREDICTIONS)
    found = make_map_set(model, images, wanted, layer)
    assert found.layer == layer and found.maps.dtype == np.uint8
    assert found.maps.shape == (len(METHODS), len(wanted.images), 16, 16)
    for method in ("grad-cam", "layer-cam"):
        options = {"layer": layer, "method": method, "size": None}
        expected = grad_cam(model, images[wanted.images], wanted.classes, **options)
        assert expected.max() == 1
        maps = found.maps[METHODS.index(method)]
        np.testing.assert_allclose(maps, 255 * expected, atol=0.6)
