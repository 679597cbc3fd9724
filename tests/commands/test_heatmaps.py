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
    """Folder of a small run that ships its weights, and the images 20 of which were held out."""
    dataset, folder = noise(84, 10), tmp_path_factory.mktemp("runs") / "small"
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    held_out = {"profile": "test", "validation": "20 images held out"}
    run_recipe.run_recipe(recipe, dataset.hold_out(20, seed=0), folder, **held_out)
    return folder, dataset


def test_both_figures_are_drawn_again(trained, monkeypatch, capsys):
    folder, dataset = trained
    first = [read_texts(folder / name)["Description"] for name in FILES]
    assert "wrong" in first[1] and "heatmaps for" in first[1]
    for name in FILES:
        (folder / name).unlink()
    monkeypatch.setattr(run_recipe, "load_dataset", lambda source: dataset)
    assert heatmaps.main([str(folder), "--data", "x", "--hold-out", "20"]) == 0
    assert [read_texts(folder / name)["Description"] for name in FILES] == first
    assert "of 20 test images right" in capsys.readouterr().out


def test_other_images_are_refused(trained, monkeypatch, capsys):
    folder, dataset = trained
    for images, options in ((noise(64, 19), ["--hold-out", "20"]), (dataset, [])):
        monkeypatch.setattr(run_recipe, "load_dataset", lambda source, images=images: images)
        assert heatmaps.main([str(folder), "--data", "x", *options]) == 1
        said = capsys.readouterr().err
        assert "(20 images held out); --data and --hold-out give" in said
        assert "Name the images of the run" in said
