"""A recipe from the shell: a run leaves a record that the report accepts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sample_data import noise

from utils.commands import run_recipe as module
from utils.data.dataset import CIFAR10_CLASSES, Dataset
from utils.records.read import read_record
from utils.records.weights import load_trained
from utils.records.write import is_full_result, make_record
from utils.settings import RECIPES
from utils.training.evaluation import evaluate_with_mirror, predict_probabilities
from utils.training.run_folder import as_json


@pytest.fixture
def dataset(monkeypatch):
    data = noise(80, 40)
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
    printed = capsys.readouterr()
    assert "final accuracy" in printed.out and printed.err == ""  # no line of progress: no terminal
    epochs = [line for line in printed.out.splitlines() if line.split()[0] in ("1", "2")]
    assert [line.endswith(" left") for line in epochs] == [True, False]


def test_bad_values_end_in_one_line(dataset, tmp_path, capsys):
    arguments = ["one-cycle", "--depth", "12", "--output", str(tmp_path / "x")]
    assert module.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: depth must be 9n + 2")


def test_a_record_comes_with_the_weights_it_was_measured_with(dataset, tmp_path):
    folder = tmp_path / "tiny"
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    model, _ = module.run_recipe(recipe, dataset, folder, profile="shell", validation="test set")
    record = read_record(folder)
    assert record.ships_weights and record.run["compile_seconds"] > 0
    assert [start["epoch"] for start in record.run["starts"]] == [1]
    loaded = load_trained(record, dtype=record.run["precision"])
    probabilities = predict_probabilities(loaded, dataset.x_test)
    np.testing.assert_allclose(
        probabilities, predict_probabilities(model, dataset.x_test), atol=1e-3
    )
    right = (probabilities.argmax(axis=1) == dataset.y_test).sum()
    assert right == record.run["final"]["correct"]
    _, averaged = evaluate_with_mirror(model, dataset.x_test, dataset.y_test)
    assert record.run["flip_averaged"]["correct"] == averaged.correct.sum()


def test_without_weights_nothing_heavy_is_left(dataset, tmp_path):
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    options = {"profile": "study", "validation": "test set", "keep_weights": False}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-best.weights.h5").touch()  # not ours to remove
    module.run_recipe(recipe, dataset, tmp_path / "run", **options)
    left = {path.name for path in (tmp_path / "run").iterdir()} - {"checkpoint-best.weights.h5"}
    assert left == {"plan.json", "starts.json", "history.csv", "run.json"}
    assert (tmp_path / "run" / "checkpoint-best.weights.h5").exists()
    assert not read_record(tmp_path / "run").ships_weights


def test_full_result_is_the_whole_recipe_on_all_of_cifar10(dataset):
    def images(count):
        return np.broadcast_to(np.zeros((1, 32, 32, 3), "uint8"), (count, 32, 32, 3))

    def data(train=50_000, test=10_000, names=CIFAR10_CLASSES):
        labels = np.zeros(max(train, test), int)
        return Dataset(images(train), labels[:train], images(test), labels[:test], names, "zeros")

    recipe = RECIPES["one-cycle"]
    assert is_full_result(recipe, data())
    assert is_full_result(RECIPES["seed-2019"], data())
    assert not is_full_result(replace(recipe, epochs=49), data())
    assert not is_full_result(replace(recipe, name="mine"), data())
    assert not is_full_result(recipe, data(train=45_000))
    assert not is_full_result(recipe, data(test=5_000))
    assert not is_full_result(recipe, data(names=tuple("abcdefghij")))


def test_incomplete_history_gets_no_record(dataset):
    arguments = (None, RECIPES["one-cycle"], dataset)
    options = {"profile": "full", "seed": 0, "starts": [{"epoch": 1}]}
    with pytest.raises(ValueError, match="1 epochs and the recipe 50"):
        make_record("x", [{"epoch": 1}], *arguments, **options)
    rows = [{"epoch": epoch} for epoch in range(1, 51)]
    with pytest.raises(ValueError, match="no starts.json"):
        make_record("x", rows, *arguments, **options | {"starts": []})


def test_a_training_that_diverges_has_a_record_and_no_heatmaps(dataset, tmp_path):
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=1e30)
    folder, who = tmp_path / "x", {"profile": "study", "validation": "test set"}
    model, _ = module.run_recipe(recipe, dataset, folder, **who, keep_weights=False)
    record = read_record(folder)
    assert not np.isfinite(record.run["final"]["loss"])
    model.get_layer("logits").bias.assign(np.full(10, np.nan))  # batch norm had kept them finite
    module.record_run(model, record.history, recipe, dataset, folder, seed=0, **who)
    assert "flip_averaged" not in read_record(folder).run
    assert not (folder / "gradcam.png").exists()


def test_the_record_names_what_trained_and_not_what_wrote_it(dataset, tmp_path, monkeypatch):
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    monkeypatch.chdir(tmp_path)
    options = {"profile": "study", "validation": "test set", "keep_weights": True}
    _, first = module.run_recipe(recipe, dataset, ".", **options)  # "." has no name of its own
    assert first["name"] == tmp_path.name and read_record(".").run == as_json(first)
    starts = json.loads((tmp_path / "starts.json").read_text())
    starts[0] |= {"device": "GPU (Tesla T4)", "git_commit": "1" * 40}
    (tmp_path / "starts.json").write_text(json.dumps(starts))
    options["profile"] = "full"  # as the notebook loads the complete run of a command
    model, again = module.run_recipe(recipe, dataset, ".", **options)
    assert again["device"] == "GPU (Tesla T4)" and again["git_commit"] == "1" * 40
    assert [one["profile"] for one in (first, again, *starts)] == ["study"] * 3
    del starts[0]["profile"]  # as a start before profiles were noted, which leaves it to the writer
    (tmp_path / "starts.json").write_text(json.dumps(starts))
    rows, who = read_record(".").history, {"profile": "full", "seed": 0, "keep_weights": False}
    assert module.record_run(model, rows, recipe, dataset, ".", **who)["profile"] == "full"


def test_a_run_goes_on_in_the_precision_it_began_with(dataset, tmp_path, capsys):
    """On a machine that prefers another one, and says so; asking for another one is refused."""
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=2, batch_size=32, max_lr=0.01)
    options = {"profile": "study", "validation": "test set"}
    preferred = module.describe_runtime().precision
    begun = "float32" if preferred != "float32" else "mixed_bfloat16"
    module.run_recipe(recipe, dataset, tmp_path, precision=begun, **options)
    assert "Going on in" not in capsys.readouterr().out
    model, record = module.run_recipe(recipe, dataset, tmp_path, **options)
    assert f"Going on in {begun}, as the run began" in capsys.readouterr().out
    assert model.get_layer("stem_conv").dtype_policy.name == record["precision"] == begun
    with pytest.raises(ValueError, match=f"another precision: {begun}, now {preferred}"):
        module.run_recipe(recipe, dataset, tmp_path, precision=preferred, **options)
