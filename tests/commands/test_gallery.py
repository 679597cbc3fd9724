"""The gallery of a tiny network on noise: which images and layers are on the page."""

import re

import keras
import numpy as np
import pytest
from keras import layers
from sample_data import noise
from sample_records import write_record
from small_models import randomize

from utils.commands import gallery
from utils.data.dataset import Dataset
from utils.data.shapes import CLASS_NAMES
from utils.explain.galleries import class_gallery
from utils.explain.map_sets import METHODS, MapSet
from utils.model.resnet import resnet_v2
from utils.training.evaluation import evaluate


@pytest.fixture(scope="module")
def dataset():
    return noise(20, 120)


@pytest.fixture(scope="module")
def network():
    return randomize(resnet_v2(11))


@pytest.fixture
def quick_maps(monkeypatch):
    """Maps out of a hat: nothing is compiled."""

    def make(network, images, wanted, layer):
        side = network.get_layer(layer).output.shape[1]
        shape = (len(METHODS), len(wanted.images), side, side)
        maps = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        return MapSet(layer, np.where(maps < 128, 0, maps))

    monkeypatch.setattr(gallery, "make_map_set", make)


def test_the_choice_is_said(quick_maps, network, dataset):
    page, choice = gallery.make_gallery(network, dataset, "Network: tiny.", of_class="cat")
    assert choice == "All 12 images of class cat (test set: 120 images). Data: noise."
    assert "<title>Heatmaps of 12 images of class cat</title>" in page
    assert f"<p>{choice} Network: tiny.</p>" in page
    assert 'class="warning">These' not in page and "Left out to keep" not in page
    for title in ("last activation (8 × 8)", "end of stage 1 (32 × 32)"):
        assert f"{title}</option>" in page


def test_the_surest_images_stay_when_there_are_too_many(quick_maps, network, dataset):
    page, choice = gallery.make_gallery(network, dataset, "", most=3)
    assert choice.startswith("The surest 3 of ") and "<h1>Heatmaps of 3 mistakes</h1>" in page
    with pytest.raises(ValueError, match="at least 1, got 0"):
        gallery.make_gallery(network, dataset, "", most=0)


def test_layers_that_do_not_fit_are_left_out_and_named(quick_maps, network, dataset, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_BYTES", 1_500_000)
    page, _ = gallery.make_gallery(network, dataset, "")
    assert len(page.encode()) < 1_500_000
    assert "Left out to keep the page small: end of stage 1. With fewer images" in page
    assert "end of stage 2 (16 × 16)" in page and "end of stage 1 (32" not in page


def test_the_remedy_for_too_many_images_helps(quick_maps, network, dataset, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_BYTES", 400_000)
    with pytest.raises(
        ValueError, match=r"too many for a page below 0.4 MB.*--images \d+"
    ) as error:
        gallery.make_gallery(network, dataset, "")
    fits = int(str(error.value).split("--images ")[1].split(",")[0])
    page, _ = gallery.make_gallery(network, dataset, "", most=fits)
    assert fits > 50 and len(page.encode()) < 400_000


def test_painted_shapes_are_called_so(quick_maps, network, dataset):
    painted = noise(20, 120)
    object.__setattr__(painted, "class_names", CLASS_NAMES)
    page, _ = gallery.make_gallery(network, painted, "", most=3)
    assert f'<p class="warning">{gallery.PAINTED}</p>' in page


def test_the_network_suits_the_classes(dataset, tmp_path):
    network, text = gallery.load_network(dataset)
    assert network.output_shape == (None, 10)
    assert re.search(r"^Network: ResNet56v2 of .*; right on record: [0-9.]+ % of CIFAR-10", text)
    painted = noise(20, 20)
    object.__setattr__(painted, "class_names", CLASS_NAMES)
    assert "shapes-resnet20v2" in gallery.load_network(painted)[1]
    write_record(tmp_path / "without-weights")
    with pytest.raises(ValueError, match="ships a network for CIFAR-10; restore runs/"):
        gallery.load_network(dataset, tmp_path)


def test_command(network, dataset, monkeypatch, tmp_path, capsys):
    """With real maps, of one layer."""
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("ASSIGNMENT_DATA", "a folder")
    monkeypatch.setattr(gallery, "load_dataset", {"a folder": dataset}.__getitem__)
    monkeypatch.setattr(gallery, "load_network", lambda dataset: (network, "Network: tiny."))
    monkeypatch.setattr(gallery, "stage_layers", lambda model: {"last_relu": ("last one", 8)})
    assert gallery.main(["--class", "cat", "--images", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Network: tiny."
    assert lines[1].startswith("The surest 5 of 12 images of class cat (test set: 120 images)")
    path = tmp_path / "out" / "gallery.html"
    assert lines[2].startswith("Written in ") and f": {path}, 0." in lines[2]
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>") and "last one (8 × 8)</option>" in page


def test_an_unknown_class_is_one_line(network, dataset, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "load_dataset", lambda data: dataset)
    monkeypatch.setattr(gallery, "load_network", lambda dataset: (network, ""))
    assert gallery.main(["--class", "cta"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: Unknown class 'cta'; did you mean cat?")
    assert error.count("\n") == 1


def own(*parts):
    """A network of one's own, with a nested backbone."""
    keras.utils.set_random_seed(1)
    backbone = keras.Sequential([keras.Input((32, 32, 3)), *parts], name="backbone")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(2)]
    return keras.Sequential([keras.Input((32, 32, 3)), backbone, *head])


def own_data():
    every = noise(20, 20)
    return Dataset(
        every.x_train, every.y_train % 2, every.x_test, every.y_test % 2, ("Cat", "Dog"), "mine"
    )


def test_a_network_and_classes_of_ones_own():
    """With real maps."""
    network = own(layers.Conv2D(4, 3, strides=4, name="conv"))
    page, choice = gallery.make_gallery(network, own_data(), "", of_class="Cat", most=3)
    assert choice.startswith("The surest 3 of 10 images of class Cat (test set: 20 images)")
    assert "last activation (8 × 8)</option>" in page and gallery.PAINTED not in page


def test_maps_that_are_not_square_are_refused_and_the_figure_draws_them():
    network, data = own(layers.Conv2D(4, 3, strides=(4, 2))), own_data()
    with pytest.raises(
        ValueError, match="square maps; those at 'backbone/.*' are 8 x 15"
    ) as caught:
        gallery.make_gallery(network, data, "", most=3)
    assert "utils.explain.galleries.class_gallery" in str(caught.value)
    class_gallery(network, data, evaluate(network, data.x_test, data.y_test))


def test_probabilities_are_refused():
    network = own(layers.Conv2D(4, 3, strides=4))
    network.add(layers.Softmax())
    with pytest.raises(ValueError, match="gives probabilities"):
        gallery.make_gallery(network, own_data(), "")
