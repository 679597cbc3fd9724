"""Tests of the painted shapes."""

import cv2
import numpy as np
import pytest

from utils.data.shapes import CLASS_NAMES, SIZE, make_shapes, outline


@pytest.fixture(scope="module")
def sample():
    return make_shapes(1000, seed=1)


def ridge_accuracy(x_train, y_train, x_test, y_test, strength=1e3):
    """Test accuracy of a linear model: ridge regression on one-hot labels, in closed form."""
    mean, std = x_train.mean(axis=0), x_train.std(axis=0) + 1e-6
    x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
    target = (np.eye(10)[y_train] - 0.1).astype(x_train.dtype)
    gram = x_train @ x_train.T  # the dual form: fewer images than pixels
    weights = x_train.T @ np.linalg.solve(
        gram + strength * np.eye(len(gram), dtype=gram.dtype), target
    )
    return np.mean(np.argmax(x_test @ weights, axis=1) == y_test)


def test_form(sample):
    images, labels, masks = sample
    assert images.shape == (1000, SIZE, SIZE, 3) and images.dtype == np.uint8
    assert labels.shape == (1000,) and labels.dtype == np.int64
    assert masks.shape == (1000, SIZE, SIZE) and masks.dtype == bool
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 10
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 100))


def test_an_image_depends_on_seed_and_index_alone(sample):
    for first, again in zip(make_shapes(25, seed=1), sample):
        np.testing.assert_array_equal(first, again[:25])
    other, _, _ = make_shapes(25, seed=2)
    assert all((a != b).any() for a, b in zip(other, sample[0]))


def test_no_two_images_are_alike(sample):
    assert len({image.tobytes() for image in sample[0]}) == 1000


def test_each_mask_is_one_object_away_from_the_border(sample):
    _, labels, masks = sample
    assert not masks[:, [0, -1], :].any() and not masks[:, :, [0, -1]].any()
    odd = 0
    for label, mask in zip(labels, masks):
        parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        outside, _ = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
        # Each count includes one for the zeros. Only a ring has a hole.
        odd += parts != 2 or outside - 2 != (CLASS_NAMES[label] == "ring")
    assert odd <= 5  # of 1000: the tip of a bolt can be cut off by the half-pixel rule


def test_masks_have_the_area_of_the_outlines(sample):
    """Shoelace areas of the unit outlines, times the mean square of radius and stretch."""
    _, labels, masks = sample
    low, high = 7.0, 11.0
    mean_square = (high**3 - low**3) / (3 * (high - low))  # of a uniform radius
    for label, name in enumerate(CLASS_NAMES):
        areas = []
        for x, y in (part.T for part in outline(name)):
            areas.append(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
        expected = (areas[0] - sum(areas[1:])) * mean_square
        assert np.mean(masks[labels == label].sum(axis=(1, 2))) == pytest.approx(expected, rel=0.15)


def test_the_mask_lies_on_the_object(sample):
    """Inside, an object has one color up to noise; outside, that color is far away."""
    images, _, masks = sample
    for image, mask in zip(images[:200].astype(float), masks):
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        if inner.sum() < 8:
            continue  # thin bolts and crescents have nearly no inside
        outer = ~cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        color = np.median(image[inner], axis=0)
        assert np.median(np.abs(image[inner] - color)) < 10
        distance = np.linalg.norm(image[outer] - color, axis=1)
        assert np.median(distance) > 50


def test_position_size_and_rotation_vary(sample):
    _, labels, masks = sample
    moments = [cv2.moments(mask.astype(np.uint8), binaryImage=True) for mask in masks]
    x = np.array([m["m10"] / m["m00"] for m in moments])
    y = np.array([m["m01"] / m["m00"] for m in moments])
    area = np.array([m["m00"] for m in moments])
    # Twice the angle of the long axis, which for an arrow tells the rotation up to a half turn.
    angle = np.array([np.arctan2(2 * m["mu11"], m["mu20"] - m["mu02"]) for m in moments])
    assert x.std() > 2.5 and y.std() > 2.5
    arrows = labels == CLASS_NAMES.index("arrow")
    assert area[arrows].max() > 2 * area[arrows].min()
    assert np.abs(np.exp(1j * angle[arrows]).mean()) < 0.3


def test_colors_say_nothing_about_the_class(sample):
    """A linear model of the mean colors in and around the object stays near chance."""
    images, labels, masks = (np.concatenate(parts) for parts in zip(sample, make_shapes(1000, 3)))
    inside, area = masks[..., None], masks.sum(axis=(1, 2))[:, None]
    total = (images * inside).sum(axis=(1, 2))
    colors = np.hstack([total / area, (images.sum(axis=(1, 2)) - total) / (SIZE**2 - area)])
    features = np.hstack([colors, colors**2, np.abs(colors[:, :3] - colors[:, 3:])])
    accuracy = ridge_accuracy(features[:1000], labels[:1000], features[1000:], labels[1000:])
    assert accuracy < 0.14  # chance is 0.10, with a standard error of 0.01


def test_a_linear_model_stays_below_40_percent(sample):
    images, labels, _ = sample
    more, more_labels, _ = make_shapes(1000, seed=2)
    x_train = more.reshape(1000, -1) / np.float32(255)
    x_test = images.reshape(1000, -1) / np.float32(255)
    assert ridge_accuracy(x_train, more_labels, x_test, labels) < 0.40
    # The control: the same model finds a class that can be read off single pixels.
    x_train[np.arange(1000), more_labels] = 3.0
    x_test[np.arange(1000), labels] = 3.0
    assert ridge_accuracy(x_train, more_labels, x_test, labels) > 0.90


def test_outlines_fit_the_radius():
    for name in CLASS_NAMES:
        for part in outline(name):
            assert part.ndim == 2 and part.shape[1] == 2
            assert np.linalg.norm(part, axis=1).max() < 1.25  # 11 px x 1.15 x 1.25 fits 32 px


@pytest.mark.parametrize(
    ("count", "seed"), [(0, 0), (-5, 0), (1, -1), (float("inf"), 0), (1, float("nan")), (1.5, 0)]
)
def test_bad_counts_and_seeds(count, seed):
    with pytest.raises(ValueError, match="(count|seed) must be a whole number of . or more, got"):
        make_shapes(count, seed)


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="Unknown shape 'hexagon'. Choose one of disc, ring"):
        outline("hexagon")
