"""Heatmaps of a shipped network, drawn again without training."""

from dataclasses import replace

import pytest
from sample_data import noise

from utils.commands import heatmaps, run_recipe
from utils.figures.style import read_texts
from utils.settings import RECIPES

FILES = ("gradcam.png", "first_look.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a small run that ships its weights, and the images it was trained on."""
    dataset, folder = noise(64, 20), tmp_path_factory.mktemp("runs") / "small"
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    run_recipe.run_recipe(recipe, dataset, folder, profile="test", validation="test set")
    return folder, dataset


def test_both_figures_are_drawn_again(trained, monkeypatch, capsys):
    folder, dataset = trained
    first = [read_texts(folder / name)["Description"] for name in FILES]
    assert "wrong" in first[1] and "heatmaps for" in first[1]
    for name in FILES:
        (folder / name).unlink()
    monkeypatch.setattr(heatmaps, "load_dataset", lambda source: dataset)
    assert heatmaps.main([str(folder), "--data", "x"]) == 0
    assert [read_texts(folder / name)["Description"] for name in FILES] == first
    assert "of 20 test images right" in capsys.readouterr().out


def test_other_images_are_refused(trained, monkeypatch, capsys):
    folder, _ = trained
    monkeypatch.setattr(heatmaps, "load_dataset", lambda source: noise(64, 19))
    assert heatmaps.main([str(folder), "--data", "x"]) == 1
    assert "Name the images of the run" in capsys.readouterr().err
