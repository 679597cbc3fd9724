"""A recipe from the shell: a run leaves a record that the report accepts."""

import json

import numpy as np
import pytest

from utils import run_recipe as module
from utils.data import CIFAR10_CLASSES, Dataset
from utils.record import make_record
from utils.report import read_record
from utils.settings import RECIPES


@pytest.fixture
def dataset(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 32, 32, 3), dtype="uint8")
    labels = np.arange(120) % 10
    data = Dataset(images[:80], labels[:80], images[80:], labels[80:], CIFAR10_CLASSES, "noise")
    monkeypatch.setattr(module, "load_dataset", lambda source: data)
    return data


def test_run_from_the_shell_writes_a_valid_record(dataset, tmp_path, capsys):
    folder = tmp_path / "tiny"
    arguments = ["one-cycle", "--depth", "11", "--epochs", "2", "--batch-size", "32"]
    arguments += ["--max-lr", "0.01", "--hold-out", "20", "--output", str(folder)]
    assert module.main(arguments) == 0
    record = json.loads((folder / "run.json").read_text())
    assert record["name"] == "tiny" and record["profile"] == "shell"
    assert record["full_result"] is False
    assert record["recipe"]["depth"] == 11 and record["recipe"]["max_lr"] == 0.01
    assert record["data"]["train_images"] == 60 and record["data"]["test_images"] == 20
    assert "held out" in record["data"]["validation"]
    assert record["final"]["correct"] == round(record["final"]["accuracy"] * 20)
    assert read_record(folder).run["name"] == "tiny"
    assert "final accuracy" in capsys.readouterr().out


def test_bad_values_end_in_one_line(dataset, tmp_path, capsys):
    arguments = ["one-cycle", "--depth", "12", "--output", str(tmp_path / "x")]
    assert module.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: depth must be 9n + 2")


def test_incomplete_history_gets_no_record(dataset):
    with pytest.raises(ValueError, match="1 epochs and the recipe 50"):
        make_record(
            "x", [{"epoch": 1}], None, RECIPES["one-cycle"], dataset, None, profile="full", seed=0
        )
