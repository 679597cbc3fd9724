"""Measuring shipped weights on the test images of another data set."""

import dataclasses
import json

import numpy as np
import pytest
from sample_data import noise
from sample_records import write_record

from utils.commands import measure
from utils.model.resnet import resnet_v2
from utils.records.read import read_record
from utils.records.weights import save_weights
from utils.training.evaluation import evaluate_with_mirror


@pytest.fixture(scope="module")
def model():
    model = resnet_v2(11)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) * 0.2 for w in model.get_weights()])
    return model


@pytest.fixture
def folder(model, tmp_path):
    """A record that ships the weights of the model."""
    folder = write_record(tmp_path / "run", **{"recipe.depth": 11, "recipe.bn_momentum": 0.9})
    run = json.loads((folder / "run.json").read_text())
    run["weights"] = save_weights(model, folder / "weights.npz")
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_the_command_notes_what_the_network_gives(model, folder, monkeypatch, capsys):
    dataset = noise(40, 30)
    plain, mirrored = evaluate_with_mirror(model, dataset.x_test, dataset.y_test)
    before = read_record(folder).run
    monkeypatch.setattr(measure, "load_dataset", {"DIR": dataset}.get)
    assert measure.main([str(folder), "--data", "DIR"]) == 0
    right = plain.correct.sum()
    assert f"run on {dataset.source}: {right} of 30 test images right" in capsys.readouterr().out
    run = read_record(folder).run
    [entry] = run["measured"]
    assert run == before | {"measured": [entry]}
    assert (entry["correct"], entry["images"]) == (right, 30)
    assert entry["content_hash"] == dataset.content_hash and entry["source"] == dataset.source
    assert entry["flip_averaged"]["correct"] == mirrored.correct.sum()


def test_the_same_images_again_replace_their_entry_and_others_stay(folder, monkeypatch):
    sets = {"a": noise(40, 30), "b": noise(50, 20)}
    monkeypatch.setattr(measure, "load_dataset", sets.get)
    for name in ("a", "b", "a"):
        assert measure.main([str(folder), "--data", name]) == 0
    found = [one["images"] for one in read_record(folder).run["measured"]]
    assert found == [20, 30]


def test_the_images_of_the_training_are_refused(folder, monkeypatch, capsys):
    dataset = noise(40, 30)
    run = json.loads((folder / "run.json").read_text())
    run["data"]["content_hash"] = dataset.content_hash
    (folder / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(measure, "load_dataset", lambda source: dataset)
    assert measure.main([str(folder), "--data", "DIR"]) == 1
    error = capsys.readouterr().err
    assert "run was tested on this data set when it was trained" in error and "--data" in error


def test_other_classes_are_refused(folder):
    letters = dataclasses.replace(noise(20, 20), class_names=tuple("abcdefghij"))
    with pytest.raises(ValueError, match="with other classes. Name a data set with the same"):
        measure.measure(read_record(folder), letters)


def test_a_record_without_weights_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "load_dataset", lambda source: noise(40, 30))
    write_record(tmp_path / "bare")
    assert measure.main([str(tmp_path / "bare"), "--data", "DIR"]) == 1
    assert "The record bare has no weights" in capsys.readouterr().err
