"""Tests of the data set's form, splits and statistics."""

import hashlib
import json
import statistics

import numpy as np
import pytest

from utils.data.dataset import Dataset, channel_statistics, pixel_mean

NAMES = ("cat", "dog", "ship")


def make(train=60, test=30, masks=False, **changes):
    """A data set whose images carry their own position, so that splits can be followed."""
    rng = np.random.default_rng(0)
    x_train = rng.integers(0, 256, (train, 32, 32, 3), np.uint8)
    x_test = rng.integers(0, 256, (test, 32, 32, 3), np.uint8)
    x_train[:, 0, 0, 0], x_test[:, 0, 0, 0] = np.arange(train), np.arange(test)
    fields = {
        "x_train": x_train,
        "y_train": np.sort(rng.integers(0, 3, train)),
        "x_test": x_test,
        "y_test": rng.integers(0, 3, test),
        "class_names": NAMES,
        "source": "made up",
        "test_masks": x_test[..., 0] > 99 if masks else None,
    }
    return Dataset(**{**fields, **changes})


def positions(images):
    return images[:, 0, 0, 0].astype(int)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((60, 32, 32, 3), np.float32)}, "x_train must be uint8.*float32"),
        ({"x_train": np.zeros((60, 32, 32), np.uint8)}, r"x_train must be uint8.*\(60, 32, 32\)"),
        ({"x_train": np.zeros((0, 32, 32, 3), np.uint8)}, "N >= 1"),
        ({"x_test": np.zeros((30, 28, 28, 3), np.uint8)}, r"x_test.*\(28, 28, 3\).*Resize"),
        ({"x_test": np.zeros((30, 32, 32, 1), np.uint8)}, r"x_test.*\(32, 32, 1\)"),
        ({"y_train": np.zeros(59, np.int64)}, r"y_train must be int64 \(60,\).*\(59,\)"),
        ({"y_train": np.zeros((60, 1), np.int64)}, r"y_train.*\(60, 1\)"),
        ({"y_train": np.zeros(60, np.int32)}, "y_train.*int32"),
        ({"y_test": np.full(30, 3)}, r"y_test must lie in 0..2.*from 3 to 3"),
        ({"y_test": np.full(30, -1)}, r"y_test must lie in 0..2.*from -1"),
        ({"class_names": ("cat", "cat", "dog")}, "different names"),
        ({"class_names": ("cat",)}, "two or more"),
        ({"test_masks": np.zeros((30, 32, 32), np.uint8)}, "test_masks must be bool.*uint8"),
        ({"test_masks": np.zeros((29, 32, 32), bool)}, r"test_masks.*\(29, 32, 32\)"),
    ],
)
def test_every_part_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_content_hash_is_that_of_pixels_and_labels():
    dataset = make()
    digest = hashlib.sha256()
    for part in ("x_train", "y_train", "x_test", "y_test"):
        array = getattr(dataset, part)
        digest.update(str(array.shape).encode() + array.astype(array.dtype, "C").tobytes())
    assert dataset.content_hash == digest.hexdigest() == make().content_hash
    # Fortran order is another layout of the same content.
    assert make(x_train=np.asfortranarray(dataset.x_train)).content_hash == dataset.content_hash
    json.dumps(dataset.content_hash)


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test"])
def test_content_hash_sees_a_single_change(part):
    changed = getattr(make(), part).copy()
    changed.flat[7] = (changed.flat[7] + 1) % 3
    assert make(**{part: changed}).content_hash != make().content_hash


def test_hold_out_is_a_stratified_partition():
    dataset = make(masks=True)
    split = dataset.hold_out(15, seed=3)
    chosen, kept = positions(split.x_test), positions(split.x_train)
    assert len(chosen) == 15
    np.testing.assert_array_equal(np.sort(np.r_[chosen, kept]), np.arange(60))
    np.testing.assert_array_equal(split.y_test, dataset.y_train[chosen])
    np.testing.assert_array_equal(split.y_train, dataset.y_train[kept])
    np.testing.assert_array_equal(split.x_test, dataset.x_train[chosen])
    share = np.bincount(split.y_test, minlength=3) - 15 * np.bincount(dataset.y_train) / 60
    assert np.abs(share).max() < 1
    assert split.test_masks is None
    assert "15 held-out training images" in split.source


def test_hold_out_depends_on_the_seed_alone():
    chosen = [positions(make().hold_out(15, seed).x_test).tolist() for seed in (3, 3, 4)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_hold_out_leaves_the_first_data_set_alone():
    dataset = make()
    before = dataset.content_hash
    dataset.hold_out(15, seed=0).x_train[:] = 0
    assert make(x_train=dataset.x_train).content_hash == before


@pytest.mark.parametrize("count", [0, -1, 60, 61, 1.5, float("nan"), float("inf")])
def test_hold_out_refuses_bad_counts(count):
    with pytest.raises(ValueError, match=f"count must be a whole number from 1 to 59, got {count}"):
        make().hold_out(count, seed=0)


@pytest.mark.parametrize("seed", [-1, 1.5, float("nan"), None])
def test_a_seed_is_a_whole_number(seed):
    for draw in (lambda: make().hold_out(5, seed), lambda: make().subset(5, 5, seed)):
        with pytest.raises(
            ValueError, match=f"seed must be a whole number of 0 or more, got {seed}"
        ):
            draw()


def test_subset_is_stratified_and_keeps_masks_with_images():
    dataset = make(masks=True)
    small = dataset.subset(20, 10, seed=5)
    train, test = positions(small.x_train), positions(small.x_test)
    assert len(set(train)) == 20 and len(set(test)) == 10
    np.testing.assert_array_equal(small.y_train, dataset.y_train[train])
    np.testing.assert_array_equal(small.y_test, dataset.y_test[test])
    np.testing.assert_array_equal(small.test_masks, small.x_test[..., 0] > 99)
    for labels, whole in ((small.y_train, dataset.y_train), (small.y_test, dataset.y_test)):
        share = np.bincount(labels, minlength=3) - len(labels) * np.bincount(whole) / len(whole)
        assert np.abs(share).max() < 1
    assert "subset of 20 + 10 images" in small.source


def test_the_whole_is_a_subset():
    dataset = make()
    assert dataset.subset(60, 30, seed=0).content_hash == dataset.content_hash


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [(0, 5, "train .* 1 to 60, got 0"), (61, 5, "got 61"), (5, 31, "test .* 1 to 30")],
)
def test_subset_refuses_bad_counts(train, test, message):
    with pytest.raises(ValueError, match=message):
        make().subset(train, test, seed=0)


def test_channel_statistics_against_numpy():
    images = _random_images(2500)
    mean, std = channel_statistics(images)
    pixels = images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(std, pixels.std(axis=0), rtol=1e-10)
    assert mean.dtype == std.dtype == np.float64


def _random_images(count):
    shape = (count, 32, 32, 3)
    return np.random.default_rng(1).integers([0, 50, 100], [256, 60, 256], shape).astype(np.uint8)


def test_channel_statistics_against_exact_fractions():
    images = _random_images(2)
    mean, std = channel_statistics(images)
    for channel in range(3):
        values = images[..., channel].ravel().tolist()
        assert mean[channel] == statistics.mean(values)
        assert std[channel] == pytest.approx(statistics.pstdev(values), rel=1e-15)


def test_channel_statistics_of_constant_images_are_exact():
    images = np.full((7, 32, 32, 3), [0, 77, 255], np.uint8)
    mean, std = channel_statistics(images)
    assert mean.tolist() == [0, 77, 255] and std.tolist() == [0, 0, 0]


def test_pixel_mean_against_numpy():
    images = _random_images(300)
    mean = pixel_mean(images)
    assert mean.shape == (32, 32, 3) and mean.dtype == np.float64
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(axis=0), rtol=1e-13)


@pytest.mark.parametrize("function", [channel_statistics, pixel_mean])
@pytest.mark.parametrize(
    "images", [np.zeros((5, 32, 32, 3)), np.zeros((32, 32, 3), np.uint8), np.zeros((0, 1, 1, 3))]
)
def test_statistics_refuse_other_arrays(function, images):
    with pytest.raises(ValueError, match="images must be uint8"):
        function(images)
