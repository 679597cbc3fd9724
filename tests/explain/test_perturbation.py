"""Insertion and deletion on a "classifier" whose curves are known, and their table."""

import cv2
import numpy as np
import pytest
from sample_masks import square_mask

from utils.explain.baselines import random_maps
from utils.explain.perturbation import (
    PerturbationCurves,
    insertion_deletion,
    mean_interval,
    perturbation_table,
)


def brightness_of_mask(images):
    """A "classifier" that looks at the object only: class 1 in proportion to its brightness."""
    bright = images[:, square_mask()[0]].mean(axis=(1, 2)) / 255
    return np.stack([1 - bright, bright], axis=1)


def white(count):
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[square_mask(count)] = 255
    return images


BLACK = {"baseline": np.zeros((1, 8, 8, 3), np.uint8), "steps": 64}


def test_curves_of_the_true_map_in_closed_form():
    curves = insertion_deletion(brightness_of_mask, white(1), square_mask() * 1.0, 1, **BLACK)
    # The 8 pixels of the object come first and each counts 1/8; nothing after that matters.
    rising = np.minimum(np.arange(65) / 8, 1)
    np.testing.assert_allclose(curves.fractions, np.arange(65) / 64)
    np.testing.assert_allclose(curves.insertion[0], rising)
    np.testing.assert_allclose(curves.deletion[0], 1 - rising)
    np.testing.assert_allclose(curves.deletion_area, 4 / 64)  # a triangle, 8 of 64 wide, 1 high
    np.testing.assert_allclose(curves.insertion_area, 1 - 4 / 64)


def test_opposite_map_and_other_class_are_worst():
    upside_down = insertion_deletion(brightness_of_mask, white(1), ~square_mask() * 1.0, 1, **BLACK)
    np.testing.assert_allclose(upside_down.insertion_area, 4 / 64)
    other = insertion_deletion(brightness_of_mask, white(1), square_mask() * 1.0, [0], **BLACK)
    np.testing.assert_allclose(other.insertion_area, 4 / 64)


def test_ends_are_image_and_baseline_whatever_the_steps():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    for baseline in ("blur", "mean"):
        curves = insertion_deletion(
            brightness_of_mask,
            images,
            random_maps(5, 8, 8),
            1,
            steps=7,
            baseline=baseline,
            batch_size=2,
        )
        assert curves.insertion.shape == curves.deletion.shape == (5, 8)
        original = brightness_of_mask(images)[:, 1]
        np.testing.assert_allclose(curves.deletion[:, 0], original)
        np.testing.assert_allclose(curves.insertion[:, -1], original)
        np.testing.assert_allclose(curves.deletion[:, -1], curves.insertion[:, 0])
    np.testing.assert_allclose(  # "mean": each image becomes its own mean color
        curves.insertion[:, 0], images.mean(axis=(1, 2, 3)) / 255, atol=0.5 / 255
    )


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32])
def test_maps_of_every_kind_are_ranked_by_their_values(dtype):
    curves = insertion_deletion(
        brightness_of_mask, white(1), square_mask().astype(dtype), 1, **BLACK
    )
    np.testing.assert_allclose(curves.insertion_area, 1 - 4 / 64)


def test_ties_are_broken_at_random():
    """A constant map must not profit from the storage order: the object is at the top left."""
    black, maps = np.zeros((300, 8, 8, 3), np.uint8), np.ones((300, 8, 8))
    constant = insertion_deletion(brightness_of_mask, white(300), maps, 1, baseline=black, steps=8)
    assert abs(constant.insertion_area.mean() - 0.5) < 0.03
    assert constant.insertion_area.std() > 0.01


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": white(2).astype(str)}, "images must be numbers, got text"),
        ({"maps": {}}, "empty dict"),
        ({"images": iter(white(2))}, "From a data set take batches"),
        ({"maps": np.ones((2, 4, 4))}, r"\(2, 8, 8\).*got \(2, 4, 4\)"),
        ({"maps": np.full((2, 8, 8), np.nan)}, "finite"),
        ({"images": white(2)[0]}, r"\(N, h, w, channels\).*\(8, 8, 3\)"),
        ({"batch_size": 0}, "batch_size must be an int >= 1, got 0"),
        ({"targets": [1]}, r"2 ints.*\(1,\)"),
        ({"targets": 2}, "0 to 1, got 2"),
        ({"targets": -1}, "0 to 1, got -1"),
        ({"targets": 0.5}, "float64"),
        ({"steps": 65}, "1 to 64"),
        ({"steps": 0}, "1 to 64"),
        ({"baseline": "zero"}, '"blur", "mean".*zero'),
        ({"baseline": np.zeros((1, 8, 8, 3))}, "ndarray"),
        ({"predict": lambda x: 9 * brightness_of_mask(x)}, "probabilities, got.*softmax"),
        ({"predict": lambda x: brightness_of_mask(x)[:, 0]}, r"must return \(64, classes\)"),
    ],
)
def test_bad_perturbation(change, message):
    good = {"predict": brightness_of_mask, "images": white(2), "maps": np.ones((2, 8, 8))}
    with pytest.raises(ValueError, match=message):
        insertion_deletion(**({"targets": 1} | good | change))


def curves_with(insertion, deletion):
    lines, areas = np.zeros((len(insertion), 2)), map(np.array, (insertion, deletion))
    return PerturbationCurves(np.array([0.0, 1.0]), lines, lines, *areas)


def test_mean_interval_is_that_of_the_textbook():
    mean, margin = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert margin == pytest.approx(1.96 * np.sqrt(5 / 3) / 2)  # sample variance 5/3, root of 4 is 2
    with pytest.raises(ValueError, match=r"N >= 2, got \(1,\)"):
        mean_interval([1.0])


def test_mean_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(3, 2, 200)) for _ in range(1000)]
    covered = np.mean([abs(mean - 3) <= margin for mean, margin in intervals])
    assert 0.93 < covered < 0.97


def test_table_pairs_the_images_and_counts_less_deletion_as_ahead():
    ours = curves_with([0.9, 0.5, 0.7], [0.1, 0.3, 0.2])
    other = curves_with([0.8, 0.4, 0.6], [0.2, 0.4, 0.3])  # behind by 0.1 on every image
    head, first, second = perturbation_table({"ours": ours, "other": other}).splitlines()
    assert head.split() == "insertion area ahead by deletion area ahead by".split()
    assert first.split() == ["ours", "0.700", "+-", "0.226", "0.200", "+-", "0.113"]
    assert second.split()[1:7] == ["0.600", "+-", "0.226", "+0.100", "+-", "0.000"]
    assert second.split()[7:] == ["0.300", "+-", "0.113", "+0.100", "+-", "0.000"]


def test_table_refuses_what_cannot_be_compared():
    ours = curves_with([0.9, 0.5], [0.1, 0.3])
    for bad in ({"ours": ours}, {"ours": ours, "other": curves_with([0.9], [0.1])}):
        with pytest.raises(ValueError, match="two methods or more on the same images"):
            perturbation_table(bad)


def plain(predict, images, maps, targets, background, steps):
    """The definition once more, a prediction for every point of both curves of one map."""
    pixels = maps[0].size
    tie_break = np.random.default_rng(0).random((len(maps), pixels))
    order = np.lexsort((tie_break, -maps.reshape(len(maps), -1)), axis=-1)
    curves = []
    for start, end in ((background, images), (images, background)):
        points = []
        for count in np.rint(np.linspace(0, pixels, steps + 1)).astype(int):
            mixed = start.reshape(len(maps), pixels, 3).copy()
            for image, to, hottest in zip(mixed, end.reshape(mixed.shape), order[:, :count]):
                image[hottest] = to[hottest]
            points.append(predict(mixed.reshape(images.shape))[np.arange(len(maps)), targets])
        curves.append(np.stack(points, axis=1))
    return curves


@pytest.mark.parametrize("batch_size", [1, 3, 5, 12, 1000])
def test_several_maps_share_their_ends_and_keep_their_curves(batch_size):
    rng = np.random.default_rng(4)
    images, background = rng.integers(0, 256, (2, 5, 8, 8, 3), dtype=np.uint8)
    maps = {name: rng.integers(0, 4, (5, 8, 8)) * 1.0 for name in "ab"}
    targets, sizes = np.array([0, 1, 0, 1, 1]), []

    def predict(batch):
        sizes.append(len(batch))
        return brightness_of_mask(batch)

    options = {"steps": 7, "baseline": background, "batch_size": batch_size}
    curves = insertion_deletion(predict, images, maps, targets, **options)
    assert len(set(sizes)) == 1 and sizes[0] <= batch_size  # one shape, one compilation
    # 2 ends and 6 points within, for 2 curves of 2 maps: 26 instead of 32 predictions an image.
    assert 26 * len(images) <= sum(sizes) < 32 * len(images)
    for name, one in maps.items():
        insertion, deletion = plain(brightness_of_mask, images, one, targets, background, 7)
        np.testing.assert_array_equal(curves[name].insertion, insertion)
        np.testing.assert_array_equal(curves[name].deletion, deletion)
        alone = insertion_deletion(predict, images, one, targets, **options)
        np.testing.assert_array_equal(alone.insertion, insertion)


def test_float_and_gray_images_and_a_single_probability():
    images = white(2)[..., :1] / 255

    def predict(batch):
        return brightness_of_mask(np.repeat(batch, 3, axis=-1) * 255)[:, 1:]

    for baseline in ("blur", "mean", images * 0):
        options = {"baseline": baseline, "steps": 64}
        one = insertion_deletion(predict, images, square_mask(2), 1, **options)
        other = insertion_deletion(predict, images, square_mask(2), [[0], [0]], **options)
        np.testing.assert_allclose(one.insertion + other.insertion, 1)
    np.testing.assert_allclose(one.insertion_area, 1 - 4 / 64)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float16", "float64"])
def test_images_of_every_kind_are_blurred(dtype):
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(dtype)
    seen = []

    def predict(batch):
        seen.append(batch)
        return np.ones((len(batch), 1))

    insertion_deletion(predict, images, np.zeros((2, 16, 16)), 0, steps=2)
    first = seen[0][0]
    assert first.dtype == dtype
    blurred = cv2.GaussianBlur(images[0].astype("float32"), (0, 0), 2)
    assert any(np.abs(one - blurred).max() < 1.5 for batch in seen for one in batch)
