"""What needs the real CIFAR-10: skipped unless ASSIGNMENT_DATA names a folder that holds it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.data.batches import Batches
from utils.data.dataset import CIFAR10_CLASSES, channel_statistics
from utils.data.sources import load_dataset
from utils.records.weights import load_trained, shipped_record
from utils.settings import RECIPES
from utils.training.evaluation import evaluate_with_mirror
from utils.training.fit import fit
from utils.training.range_test import range_test
from utils.training.recipe_model import build_model, compile_model

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.real_images


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(os.environ["ASSIGNMENT_DATA"])


def test_all_sixty_thousand_images_are_there(dataset):
    assert dataset.class_names == CIFAR10_CLASSES
    assert dataset.x_train.shape == (50_000, 32, 32, 3)
    assert dataset.x_test.shape == (10_000, 32, 32, 3)
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10


def test_colors_are_those_that_everyone_publishes(dataset):
    # For example Keras and PyTorch recipes: 0.4914, 0.4822, 0.4465 and 0.2470, 0.2435, 0.2616.
    # A copy of the images as JPEG is slightly smoother than the originals.
    mean, std = channel_statistics(dataset.x_train)
    np.testing.assert_allclose(mean / 255, [0.4914, 0.4822, 0.4465], atol=0.002)
    np.testing.assert_allclose(std / 255, [0.2470, 0.2435, 0.2616], atol=0.005)


def test_a_minute_of_training_learns(dataset, tmp_path):
    part = dataset.subset(5000, 1000, seed=0)
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=4, batch_size=64, max_lr=0.1)
    model = build_model(recipe, part.x_train, seed=0)
    compile_model(model, recipe, len(part.x_train))
    batches = Batches(part.x_train, part.y_train, recipe.batch_size, seed=0)
    before = model.get_weights()
    sweep = range_test(model, batches, num_steps=40)
    # Somewhere between the two ends of the sweep the network learns something.
    assert sweep.smoothed.min() < sweep.smoothed[0]
    for weight, restored in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, restored)
    rows = fit(model, recipe, part, tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_accuracy"] > 0.25  # chance is 0.10


def test_shipped_weights_have_the_accuracy_of_their_record(dataset):
    """On the images of the record a rounding apart; on another copy of them about the same."""
    record = shipped_record(ROOT / "runs")
    assert record is not None, "no record ships its weights"
    network = load_trained(record, dtype=record.run["precision"])
    plain, averaged = evaluate_with_mirror(network, dataset.x_test, dataset.y_test)
    correct, mirrored = int(plain.correct.sum()), int(averaged.correct.sum())
    same = dataset.content_hash == record.run["data"]["content_hash"]
    assert abs(correct - record.run["final"]["correct"]) <= (15 if same else 150)
    expected = record.run["flip_averaged"]["correct"]
    assert abs(mirrored - expected) <= (15 if same else 150)


def test_notebook_runs_on_the_real_images(tmp_path):
    command = [
        sys.executable,
        "-m",
        "utils.commands.execute",
        "Assignment4B.ipynb",
        "--output",
        tmp_path,
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "CIFAR-10" in result.stdout.splitlines()[-1]
    assert "airplane" in (tmp_path / "Assignment4B.ipynb").read_text()
