"""Measures of faithfulness, on maps whose value is known."""

import keras
import numpy as np
import pytest
from keras import layers

from utils import faithfulness
from utils.faithfulness import (
    cam_identity_gap,
    cascading_randomization,
    center_gaussian_maps,
    energy_inside,
    insertion_deletion,
    pointing_game,
    random_maps,
    spearman,
)
from utils.resnet import resnet_v2


def square_mask(count=1, side=8):
    masks = np.zeros((count, side, side), bool)
    masks[:, 1:3, 1:5] = True  # 8 of 64 pixels
    return masks


def point(row, column, value=1.0):
    heat = np.zeros((1, 8, 8))
    heat[0, row, column] = value
    return heat


# Ground truth ---------------------------------------------------------------------------------


def test_pointing_game():
    maps = np.concatenate([point(1, 1), point(5, 5), point(1, 1) + point(5, 5, 0.9)])
    np.testing.assert_array_equal(pointing_game(maps, square_mask(3)), [True, False, True])
    assert pointing_game(maps, square_mask(3)).dtype == bool


def test_pointing_game_gives_no_credit_to_ties():
    assert not pointing_game(np.ones((1, 8, 8)), square_mask())[0]
    assert not pointing_game(np.zeros((1, 8, 8)), square_mask())[0]
    assert not pointing_game(point(1, 1) + point(7, 7), square_mask())[0]
    assert pointing_game(point(1, 1) + point(2, 2), square_mask())[0]  # both on the object


def test_random_maps_point_by_chance():
    hits = pointing_game(random_maps(4000, 8, 8), square_mask(4000))
    assert abs(hits.mean() - 1 / 8) < 0.03  # 5 standard deviations


@pytest.mark.filterwarnings("error")
def test_energy_inside():
    maps = np.concatenate(
        [square_mask() * 1.0, point(1, 1, 3) + point(6, 6), np.ones((1, 8, 8)), np.zeros((1, 8, 8))]
    )
    np.testing.assert_allclose(energy_inside(maps, square_mask(4)), [1, 0.75, 1 / 8, 1 / 8])
    np.testing.assert_allclose(energy_inside(5 * maps, square_mask(4)), [1, 0.75, 1 / 8, 1 / 8])


@pytest.mark.parametrize("measure", [pointing_game, energy_inside])
def test_bad_maps_and_masks(measure):
    maps, masks = np.ones((2, 8, 8)), square_mask(2)
    for bad_maps, bad_masks, message in [
        (maps[:1], masks, r"\(1, 8, 8\) and \(2, 8, 8\)"),
        (maps[0], masks[0], "one shape"),
        (maps[:0], masks[:0], "N >= 1"),
        (maps * np.nan, masks, "finite"),
        (maps, masks.astype(int), "bool"),
        (maps, masks & (np.arange(2) == 0)[:, None, None], r"masks \[1\] are empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            measure(bad_maps, bad_masks)
    with pytest.raises(ValueError, match="ReLU"):
        energy_inside(-maps, masks)


# Perturbation ---------------------------------------------------------------------------------


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


def test_ties_are_broken_at_random():
    """A constant map must not profit from the storage order: the object is at the top left."""
    black, maps = np.zeros((300, 8, 8, 3), np.uint8), np.ones((300, 8, 8))
    constant = insertion_deletion(brightness_of_mask, white(300), maps, 1, baseline=black, steps=8)
    assert abs(constant.insertion_area.mean() - 0.5) < 0.03
    assert constant.insertion_area.std() > 0.01


def test_center_gaussian_and_random_maps():
    center = center_gaussian_maps(2, 32, 16)
    assert center.shape == (2, 32, 16) and center.dtype == np.float32
    np.testing.assert_allclose(center, center[:, ::-1, ::-1], rtol=1e-6)
    assert center.max() <= 1 and center[0].argmax() in (15 * 16 + 7, 15 * 16 + 8, 16 * 16 + 7)
    # Half a side away from the center are 2 standard deviations.
    np.testing.assert_allclose(center_gaussian_maps(1, 1001, 1)[0, 0, 0], np.exp(-2), rtol=5e-3)
    np.testing.assert_array_equal(random_maps(2, 3, 4, seed=5), random_maps(2, 3, 4, seed=5))
    assert (random_maps(2, 3, 4, seed=5) != random_maps(2, 3, 4, seed=6)).any()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": white(2).astype("float32")}, "uint8.*float32"),
        ({"maps": np.ones((2, 4, 4))}, r"\(2, 8, 8\).*got \(2, 4, 4\)"),
        ({"maps": np.full((2, 8, 8), np.nan)}, "finite"),
        ({"targets": [1]}, r"2 ints.*\(1,\)"),
        ({"targets": 2}, "0 to 1, got 2"),
        ({"targets": -1}, "0 to 1, got -1"),
        ({"targets": 0.5}, "float64"),
        ({"steps": 65}, "1 to 64"),
        ({"steps": 0}, "1 to 64"),
        ({"baseline": "zero"}, '"blur", "mean".*zero'),
        ({"baseline": np.zeros((1, 8, 8, 3))}, "ndarray"),
        ({"predict": lambda x: 9 * brightness_of_mask(x)}, "probabilities, got.*softmax"),
        ({"predict": lambda x: brightness_of_mask(x)[:, 0]}, r"must return \(2, classes\)"),
    ],
)
def test_bad_perturbation(change, message):
    good = {"predict": brightness_of_mask, "images": white(2), "maps": np.ones((2, 8, 8))}
    with pytest.raises(ValueError, match=message):
        insertion_deletion(**({"targets": 1} | good | change))


# Randomization --------------------------------------------------------------------------------


def test_spearman():
    assert spearman([1, 2, 3, 4], [10, 20, 25, 1000]) == pytest.approx(1)  # any rising function
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0
    # Ties by hand: ranks 1.5 1.5 3 4 against 1 2 3 4, r = 4.5 / sqrt(4.5 * 5).
    assert spearman([[0, 0], [5, 9]], [[1, 2], [3, 4]]) == pytest.approx(np.sqrt(4.5 / 5))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def toy(channels=3):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(channels, 1, name="conv")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def test_cascading_randomization_leaves_the_model_alone():
    model = toy()
    model.get_layer("bn").gamma.assign([0.5, 1.5, 2.5])  # as if trained
    weights = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    result = cascading_randomization(model, pixels, stages=8)  # more than layers: one a layer
    for old, weight in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(weight.value))
    assert result.layers == ("logits", "bn", "conv")
    assert result.correlations.shape == (3, 5) and np.abs(result.correlations).max() <= 1 + 1e-12
    again = cascading_randomization(model, pixels, stages=8)
    np.testing.assert_allclose(again.correlations, result.correlations, atol=1e-6)
    other = cascading_randomization(model, pixels, stages=8, seed=1)
    assert (other.correlations != result.correlations).any()


def test_cascading_randomization_goes_down_cumulatively():
    """One positive channel: its map depends on the sign of the Dense weight only, until the
    convolution is randomized."""
    model = toy(1)
    model.get_layer("conv").kernel.assign(np.array([1.0, 0, 0]).reshape(1, 1, 3, 1))
    model.get_layer("logits").kernel.assign([[1.0, -1.0]])
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    for seed in range(2):
        result = cascading_randomization(model, pixels, 0, stages=3, seed=seed)
        assert result.layers == ("logits", "bn", "conv")
        for row in result.correlations[:2]:  # same image of the red channel, or switched off
            assert np.allclose(row, 1) or np.allclose(row, 0)
        assert not np.allclose(result.correlations[2], 1)


def test_bad_stages():
    for stages in (1, 2.0, True):
        with pytest.raises(ValueError, match="stages"):
            cascading_randomization(toy(), np.ones((1, 8, 8, 3)), stages=stages)


# Identity -------------------------------------------------------------------------------------


def test_cam_identity_holds(images, monkeypatch):
    model = resnet_v2(11)
    assert cam_identity_gap(model, images) < 1e-5
    assert cam_identity_gap(model, images, 3) < 1e-5
    # And it would notice: a Grad-CAM with weights that are 1 % off.
    original = faithfulness.GradCAM.__call__

    def wrong(self, *arguments, **options):
        explanation = original(self, *arguments, **options)
        return explanation._replace(maps=explanation.maps * 1.01)

    monkeypatch.setattr(faithfulness.GradCAM, "__call__", wrong)
    assert cam_identity_gap(model, images) == pytest.approx(0.01, rel=0.02)


def test_cam_identity_needs_its_head(images):
    inputs = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="global average pooling and one Dense"):
        cam_identity_gap(keras.Model(inputs, layers.Dense(2)(x)), images)


def test_edge_maps_are_hot_at_edges_alone():
    images = np.full((2, 32, 32, 3), 40, "uint8")
    images[0, :, 16:] = 200  # one vertical edge
    maps = faithfulness.edge_maps(images)
    assert maps.shape == (2, 32, 32) and maps.dtype == np.float32
    assert set(maps[0].argmax(axis=1)) <= {15, 16} and maps[0, :, :10].max() == 0
    assert not maps[1].any()
    with pytest.raises(ValueError, match=r"uint8 \(N, h, w, 3\).*got float64"):
        faithfulness.edge_maps(images / 255)
