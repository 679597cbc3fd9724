"""Measures of faithfulness, on maps whose value is known."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from sample_masks import square_mask

from utils.data.shapes import make_shapes
from utils.explain import faithfulness
from utils.explain.faithfulness import (
    cam_identity_gap,
    cascading_randomization,
    completeness_gap,
    convex_hulls,
    energy_inside,
    pointing_game,
    pointing_table,
    randomized,
    spearman,
)
from utils.explain.grad_cam import grad_cam
from utils.explain.perturbation import center_gaussian_maps, random_maps
from utils.model.resnet import resnet_v2
from utils.records.read import read_record
from utils.records.weights import load_trained

ROOT = Path(__file__).resolve().parents[2]


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


def test_convex_hull_fills_what_is_hollow():
    masks = np.zeros((2, 9, 9), bool)
    masks[0, 2:7, 2:7] = True
    masks[0, 4, 4] = False  # a ring
    masks[1, 2:7, 2] = masks[1, 6, 2:7] = True  # an L
    hulls = convex_hulls(masks)
    assert hulls.dtype == bool and (hulls >= masks).all()
    assert hulls[0, 2:7, 2:7].all() and hulls[0].sum() == 25
    assert hulls[1, 4, 4] and not hulls[1, 2, 6] and not hulls[1, :, :2].any()


def test_pointing_table_counts_mask_and_hull_apart():
    masks = np.zeros((2, 8, 8), bool)
    masks[:, 1:4, 1:4] = True
    masks[:, 2, 2] = False  # 8 of 64 pixels, 9 with the hole
    maps = {"hole": np.concatenate([point(2, 2), point(1, 1)]), "flat": np.ones((2, 8, 8))}
    head, hole, flat, area = pointing_table(maps, masks).splitlines()
    assert head.split() == ["on", "object", "in", "hull", "heat"]
    assert hole.split() == ["hole", "50.0", "%", "100.0", "%", "4.00", "times"]
    assert flat.split() == ["flat", "0.0", "%", "0.0", "%", "1.00", "times"]
    assert area.split() == ["by", "area", "12.5", "%", "14.1", "%", "1.00", "times"]


def test_pointing_table_refuses_what_pointing_game_refuses():
    with pytest.raises(ValueError, match=r"masks \[1\] are empty"):
        pointing_table(
            {"x": np.ones((2, 8, 8))}, square_mask(2) & np.array([True, False])[:, None, None]
        )


def test_trained_maps_find_painted_objects_and_those_of_random_weights_do_not():
    """The network of `runs/shapes-resnet20v2`, on shapes that it has never seen."""
    trained = load_trained(read_record(ROOT / "runs" / "shapes-resnet20v2"))
    images, labels, masks = make_shapes(1000, seed=2021)
    hulls, area = convex_hulls(masks), masks.mean(axis=(1, 2))
    found, heat = {}, {}
    for name, model in {"trained": trained, "random": randomized(trained)}.items():
        maps = grad_cam(model, images, labels)
        found[name] = pointing_game(maps, hulls).mean()
        heat[name] = (energy_inside(maps, masks) / area).mean()
    assert found["trained"] >= 0.95 and heat["trained"] >= 3
    # By chance 20.2 % and 1.00 times; 1,000 images leave a standard deviation of 1.3 %.
    assert hulls.mean() - 0.08 < found["random"] < hulls.mean() + 0.08
    assert 0.75 < heat["random"] < 1.25
    center = pointing_game(center_gaussian_maps(1000, 32, 32), hulls).mean()
    assert found["trained"] > center + 0.2  # objects lie near the middle: a guess, not a reason


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
    model = toy(16)  # so many that no map is empty
    model.get_layer("bn").gamma.assign(np.linspace(0.5, 2.5, 16))  # as if trained
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


def test_cascading_randomization_tests_the_method_that_is_named():
    """Eigen-CAM asks for no class, so it cannot notice that the logits layer has been lost."""
    model = toy(16)
    pixels = np.random.default_rng(0).random((5, 8, 8, 3))
    maps = {
        name: cascading_randomization(model, pixels, 0, method=name, stages=3).correlations[0]
        for name in ("grad-cam", "eigen-cam")
    }
    np.testing.assert_allclose(maps["eigen-cam"], 1)
    assert (maps["grad-cam"] < 0.99).any()


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


def test_randomized_copy_has_nothing_left_of_the_training():
    model = toy()
    trained = [np.full(weight.shape, 7.0) for weight in model.weights]
    model.set_weights(trained)
    copy = randomized(model, seed=3)
    for weight in model.weights:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), 7.0)
    values = {w.path.partition("/")[2]: keras.ops.convert_to_numpy(w.value) for w in copy.weights}
    assert not any((value == 7.0).any() for value in values.values())
    again = [keras.ops.convert_to_numpy(w.value) for w in randomized(model, seed=3).weights]
    for weight, value in zip(copy.weights, again, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), value)


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


@pytest.mark.parametrize("gap", [cam_identity_gap, completeness_gap])
def test_identities_hold_with_trained_weights(gap):
    trained = load_trained(read_record(ROOT / "runs" / "shapes-resnet20v2"))
    images, labels, _ = make_shapes(20, seed=3)
    assert gap(trained, images) < 1e-5
    assert gap(trained, images, labels) < 1e-5


def test_fractions_of_pixels_are_rounded_alike_on_both_sides(images):
    model = resnet_v2(11)
    assert cam_identity_gap(model, images.clip(0, 254) + 0.6) < 1e-5


def test_completeness_holds_with_and_without_bias_and_would_notice(images, monkeypatch):
    model = resnet_v2(11)
    model.get_layer("logits").bias.assign(np.arange(10) / 10)
    assert completeness_gap(model, images) < 1e-5
    assert completeness_gap(model, images, 3) < 1e-5
    pooled = model.get_layer("avg_pool").output
    bare = keras.Model(model.input, layers.Dense(4, use_bias=False)(pooled))
    assert completeness_gap(bare, images) < 1e-5
    # And it would notice: a ReLU loses what speaks against the class.
    original = faithfulness.GradCAM.__call__

    def cut(self, *arguments, **options):
        return original(self, *arguments, **options | {"signed": False})

    monkeypatch.setattr(faithfulness.GradCAM, "__call__", cut)
    assert completeness_gap(model, images, 3) > 0.01


@pytest.mark.parametrize("gap", [cam_identity_gap, completeness_gap])
def test_identities_need_their_head(images, gap):
    inputs = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="global average pooling and one Dense"):
        gap(keras.Model(inputs, layers.Dense(2)(x)), images)
