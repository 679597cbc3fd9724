"""Training: exact resume, the log on disk, the order of the data, the loss, the schedules."""

import csv
import json
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
from sample_data import noise

from utils.settings import RECIPES
from utils.training import evaluation, run_folder
from utils.training import fit as fit_module
from utils.training.callbacks import EpochLog
from utils.training.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row
from utils.training.fit import fit
from utils.training.recipe_model import augmenter, compile_model
from utils.training.recipe_schedule import schedule_values

RECIPE = replace(RECIPES["one-cycle"], epochs=3, batch_size=32, max_lr=0.05)
SEED_2019 = replace(RECIPES["seed-2019"], epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def dataset():
    return noise(70, 20)


class Interrupted(Exception):
    pass


def network(recipe, dataset, dtype="float32"):
    """Small, because many are compiled here, with all that has a state: augmentation, batch norm.

    That the networks of the course train is what `tests/commands/test_run_recipe.py` tests.
    """
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = augmenter(recipe, seed=1)(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.Conv2D(4, 3, strides=4, name="stem_conv", dtype=dtype)(x)
    x = keras.layers.BatchNormalization(dtype=dtype)(x)
    scores = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    return compile_model(keras.Model(inputs, scores), recipe, len(dataset.x_train))


def train(dataset, folder, stop_after_lines=None, recipe=RECIPE):
    """Trains a fresh model; raises Interrupted when that many lines have been printed."""
    model, lines = network(recipe, dataset), []

    def report(line):
        lines.append(line)
        if len(lines) == stop_after_lines:
            raise Interrupted

    rows = fit(model, recipe, dataset, folder, seed=1, report=report)
    return model, rows, lines


def without_seconds(rows):
    return [{**row, "seconds": None} for row in rows]


@pytest.fixture(scope="module")
def straight(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, *train(dataset, folder)


def test_log_has_a_line_an_epoch_on_screen_and_on_disk(dataset, straight):
    folder, model, rows, lines = straight
    assert lines == [EPOCH_HEADER, *map(format_epoch_row, rows)]
    with (folder / "history.csv").open() as file:
        stored = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in stored] == rows
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert len(list(folder.glob("*.weights.h5"))) == 2  # the last checkpoint and the one before
    rate, momentum = schedule_values(RECIPE, 70)
    assert len(rate) == 9  # 3 epochs of 3 steps
    assert [row["learning_rate_first"] for row in rows] == rate[[0, 3, 6]].tolist()
    assert [row["learning_rate_last"] for row in rows] == rate[[2, 5, 8]].tolist()
    assert [row["momentum_first"] for row in rows] == momentum[[0, 3, 6]].tolist()
    assert [row["momentum_last"] for row in rows] == momentum[[2, 5, 8]].tolist()
    found = model.evaluate(dataset.x_test, dataset.y_test, return_dict=True, verbose=0)
    assert rows[-1]["val_loss"] == pytest.approx(found["loss"], abs=1e-5)
    assert rows[-1]["val_accuracy"] == pytest.approx(found["accuracy"], abs=1e-5)
    plan = {"recipe": run_folder.as_json(asdict(RECIPE)), "seed": 1, "precision": "float32"}
    plan |= {"content_hash": dataset.content_hash, "backend": keras.backend.backend()}
    assert json.loads((folder / "plan.json").read_text()) == plan


def test_by_default_lines_are_printed_without_the_time_left_and_the_seed_is_0(
    dataset, tmp_path, capsys
):
    recipe = replace(RECIPE, epochs=2)
    rows = fit(network(recipe, dataset), recipe, dataset, tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [EPOCH_HEADER, *map(format_epoch_row, rows)]
    assert json.loads((tmp_path / "plan.json").read_text())["seed"] == 0


@pytest.mark.parametrize("crash_before_checkpoint", [False, True])
def test_interrupted_run_resumes_to_the_same_bit(
    dataset, straight, tmp_path, monkeypatch, crash_before_checkpoint
):
    _, expected_model, expected_rows, _ = straight
    if crash_before_checkpoint:  # epoch 2: the line is on disk, its checkpoint is not
        save = run_folder.save_checkpoint

        def crash(model, folder, epoch):
            if epoch == 2:
                raise Interrupted
            return save(model, folder, epoch)

        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(run_folder, "save_checkpoint", crash)
            train(dataset, tmp_path)
        assert len((tmp_path / "history.csv").read_text().splitlines()) == 3
    else:
        with pytest.raises(Interrupted):
            train(dataset, tmp_path, stop_after_lines=2)
    model, rows, lines = train(dataset, tmp_path)
    assert lines[0] == "Resuming after epoch 1 of 3."
    assert lines[1:] == [EPOCH_HEADER, *map(format_epoch_row, rows)]
    assert without_seconds(rows) == without_seconds(expected_rows)
    with (tmp_path / "history.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3]
    for ours, theirs in zip(model.get_weights(), expected_model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_first_epoch_broken_off_starts_again_from_the_same_weights(
    dataset, straight, tmp_path, monkeypatch
):
    _, expected_model, _, _ = straight
    model = network(RECIPE, dataset)

    def interrupt(self, epoch, logs=None):
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(EpochLog, "on_epoch_end", interrupt)
        fit(model, RECIPE, dataset, tmp_path, seed=1, report=lambda line: None)
    fit(model, RECIPE, dataset, tmp_path, seed=1, report=lambda line: None)
    for ours, theirs in zip(model.get_weights(), expected_model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rerun_after_an_interrupt_keeps_the_state_of_loss_scaling(tmp_path):
    """As a cell of the notebook that is run again: the same model, on a GPU without bfloat16."""
    # A few images only: on some CPUs oneDNN has nothing but reference code for float16.
    dataset, recipe = noise(6, 2), replace(RECIPE, epochs=2, batch_size=4)
    model = network(recipe, dataset, "mixed_float16")

    def interrupt(line):
        if line.split()[0] == "1":  # the first epoch is done
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(model, recipe, dataset, tmp_path, seed=1, report=interrupt)
    assert run_folder.planned_precision(tmp_path) == "mixed_float16"
    variables = len(model.optimizer.variables)
    model.optimizer.dynamic_scale.assign(1.0)
    rows = fit(model, recipe, dataset, tmp_path, seed=1, report=lambda line: None)
    assert len(model.optimizer.variables) == variables
    assert float(model.optimizer.dynamic_scale) > 1
    # A step that overflows is skipped and does not move the schedule: the log says so, too.
    rate, _ = schedule_values(recipe, len(dataset.x_train))
    done = int(model.optimizer.iterations)
    assert rows[-1]["learning_rate_last"] == rate[done - 1] and done <= len(rate)


def test_complete_run_is_loaded_and_not_repeated(dataset, straight):
    folder, expected_model, expected_rows, _ = straight
    before = (folder / "history.csv").read_text()
    model, rows, lines = train(dataset, folder)
    assert "complete run of 3 epochs" in lines[0]
    assert lines[1:] == [EPOCH_HEADER, *map(format_epoch_row, rows)]
    assert rows == expected_rows and (folder / "history.csv").read_text() == before
    for ours, theirs in zip(model.get_weights(), expected_model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_folder_of_another_run_is_refused(dataset, straight):
    with pytest.raises(ValueError, match=r"another recipe.*'epochs': 3.*'epochs': 4.*delete"):
        train(dataset, straight[0], recipe=replace(RECIPE, epochs=4))


def test_history_has_the_shared_fields(straight):
    assert tuple(straight[2][0]) == CSV_FIELDS


class ResourceExhaustedError(Exception):
    """Known by its name, as TensorFlow's."""


@pytest.mark.parametrize(
    ("recipe", "changes", "options"),
    [
        (RECIPE, "batch_size=16, max_lr=0.025", "16 --max-lr 0.025 of utils.commands.run_recipe;"),
        (SEED_2019, "batch_size=16", "16 of utils.commands.run_recipe. Several"),  # its own peak
    ],
)
@pytest.mark.parametrize("fitted", [0, 1])
def test_a_batch_without_room_is_halved_in_another_folder(
    dataset, tmp_path, monkeypatch, recipe, changes, options, fitted
):
    begin = EpochLog.on_epoch_begin

    def full(self, epoch, logs=None):
        begin(self, epoch)
        if epoch == fitted:
            raise ResourceExhaustedError("out of memory")

    monkeypatch.setattr(EpochLog, "on_epoch_begin", full)
    with pytest.raises(
        ValueError, match="no room for a batch of 32 images.*A batch of 16"
    ) as caught:
        train(dataset, tmp_path, recipe=recipe)
    text = str(caught.value)
    assert f"{tmp_path}, which is whole" in text and f"(recipe, {changes})" in text
    assert f"--batch-size {options}" in text
    assert ("after 1 epochs that did fit" in text) == bool(fitted) and "None" not in text


def test_the_peak_goes_with_the_batch_that_there_was(tmp_path, monkeypatch):
    """10 images are one batch of 10, whatever the recipe says."""

    def full(self, epoch, logs=None):
        raise ResourceExhaustedError("out of memory")

    monkeypatch.setattr(EpochLog, "on_epoch_begin", full)
    with pytest.raises(ValueError, match="batch of 10 .*batch_size=5, max_lr=0.025"):
        train(noise(10, 10), tmp_path, recipe=replace(RECIPE, epochs=5))


def test_batches_of_the_test_set_are_shared_evenly_and_not_larger_than_those_of_the_training(
    dataset, tmp_path, monkeypatch
):
    sizes = []

    class Batches(fit_module.Batches):
        def __init__(self, images, labels, batch_size, *seed):
            super().__init__(images, labels, batch_size, *seed)
            sizes.append(batch_size)
            if len(sizes) % 2 == 0:
                raise Interrupted

    monkeypatch.setattr(fit_module, "Batches", Batches)
    monkeypatch.setattr(fit_module, "_check_shares", lambda *args: None)
    for devices, most in ((1, 500), (3, 500), (3, 20)):
        monkeypatch.setattr(fit_module, "device_count", lambda count=devices: count)
        monkeypatch.setattr(evaluation, "EVALUATION_BATCH", most)
        with pytest.raises(Interrupted):
            train(dataset, tmp_path)
    assert sizes == [32, 32, 32, 30, 32, 18]


def test_every_start_is_noted(dataset, tmp_path, capsys):
    """A run broken off after its first epoch: two starts, the second from epoch 2 on."""
    tmp_path = tmp_path / "made" / "if missing"
    with pytest.raises(Interrupted):
        train(dataset, tmp_path, stop_after_lines=2)
    train(dataset, tmp_path)
    starts = run_folder.read_starts(tmp_path)
    assert [start["epoch"] for start in starts] == [1, 2]
    for start in starts:
        assert 0 < start["compile_seconds"] < 600
        assert set(start) >= {"device", "versions", "git_commit"}
    train(dataset, tmp_path)  # loads the complete run and starts nothing
    assert run_folder.read_starts(tmp_path) == starts
    assert capsys.readouterr().out == ""  # all that is said goes to `report`
