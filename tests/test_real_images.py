"""What needs the real CIFAR-10: skipped unless ASSIGNMENT_DATA names a folder that holds it.

One test reads a second copy, images as JPEG files, from the folder that ASSIGNMENT_IMAGE_FOLDER
names; without that it is skipped, too.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from utils.data.batches import Batches
from utils.data.cifar_archive import CONTENT_HASH, IMAGES, SOURCES
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
ROUNDING = 3  # right answers that processors may differ by


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(os.environ["ASSIGNMENT_DATA"])


def is_official(dataset):
    return dataset.source in SOURCES


def test_all_sixty_thousand_images_are_there(dataset):
    assert dataset.class_names == CIFAR10_CLASSES
    assert (len(dataset.x_train), len(dataset.x_test)) == IMAGES == (50_000, 10_000)
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10
    if is_official(dataset):
        assert dataset.content_hash == CONTENT_HASH


def test_colors_are_those_that_everyone_publishes(dataset):
    # For example Keras and PyTorch recipes: 0.4914, 0.4822, 0.4465 and 0.2470, 0.2435, 0.2616.
    # A copy of the images as JPEG is slightly smoother than the originals.
    mean, std = channel_statistics(dataset.x_train)
    exact = is_official(dataset)
    np.testing.assert_allclose(
        mean / 255, [0.4914, 0.4822, 0.4465], atol=0.00005 if exact else 0.002
    )
    np.testing.assert_allclose(
        std / 255, [0.2470, 0.2435, 0.2616], atol=0.00006 if exact else 0.005
    )


def test_known_images_have_their_labels_and_colors(dataset):
    """The first images as tutorials show them: a frog and trucks; a cat, ships, an airplane."""
    if not is_official(dataset):
        pytest.skip("an image folder has an order of its own")
    assert dataset.y_train[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert dataset.y_test[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert dataset.x_train[0, 0, 0].tolist() == [59, 62, 63]
    assert dataset.x_test[0, 0, 0].tolist() == [158, 112, 49]
    # Test image 3 is a jet in a bright sky that is more blue than red.
    red, _, blue = dataset.x_test[3, :4].mean(axis=(0, 1))
    assert 180 < red < blue


def test_an_image_folder_holds_the_same_images(dataset):
    """JPEG files, some of each class in the official order: blurred by compression, no more."""
    folder = os.environ.get("ASSIGNMENT_IMAGE_FOLDER", "")
    if not (folder and Path(folder).is_dir() and is_official(dataset)):
        pytest.skip("ASSIGNMENT_IMAGE_FOLDER is not a folder of images")
    part = load_dataset(folder)
    assert part.source == "CIFAR-10, image folder (JPEG)"
    for labels, images, all_labels, all_images in (
        (part.y_train, part.x_train, dataset.y_train, dataset.x_train),
        (part.y_test, part.x_test, dataset.y_test, dataset.x_test),
    ):
        for label in range(10):
            mine = images[labels == label].astype(float)
            assert len(mine) >= 5
            original = all_images[all_labels == label][: len(mine)]
            error = np.sqrt(np.square(mine - original).mean(axis=(1, 2, 3)))
            assert error.max() < 20  # of 255


def test_a_minute_of_training_learns(dataset, tmp_path):
    part = dataset.subset(5000, 1000, seed=0)
    recipe = replace(RECIPES["one-cycle"], depth=11, epochs=4, batch_size=64, max_lr=0.1)
    model = build_model(recipe, part.x_train, seed=0)
    compile_model(model, recipe, len(part.x_train))
    batches = Batches(part.x_train, part.y_train, recipe.batch_size, seed=0)
    before = model.get_weights()
    sweep = range_test(model, batches, num_steps=40)
    # The first steps are a mean of few batches. Later the loss falls, and at the end it explodes.
    settled = sweep.smoothed[8:]
    assert settled.min() < settled[0] < settled[-1]
    for weight, restored in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, restored)
    rows = fit(model, recipe, part, tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_accuracy"] > 0.25  # chance is 0.10


def test_shipped_weights_have_the_accuracy_of_their_record(dataset):
    """As many right as recorded; on another copy of the images as many as were measured there."""
    record = shipped_record(ROOT / "runs")
    assert record is not None, "no record ships its weights"
    run = record.run
    results = {run["data"]["content_hash"]: run["final"] | {"flip_averaged": run["flip_averaged"]}}
    results |= {one["content_hash"]: one for one in run.get("measured", ())}
    if dataset.content_hash not in results:
        pytest.skip(f"{record.name} was never measured on {dataset.source}")
    result = results[dataset.content_hash]
    expected = result["correct"], result["flip_averaged"]["correct"]
    network = load_trained(record, dtype=run["precision"])
    predictions = evaluate_with_mirror(network, dataset.x_test, dataset.y_test)
    counted = [int(one.correct.sum()) for one in predictions]
    assert np.abs(np.subtract(counted, expected)).max() <= ROUNDING, (counted, expected)


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
