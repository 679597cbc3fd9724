"""Augmentation against a brute-force search over all shifts and flips."""

import keras
import numpy as np
import pytest

from utils.model.augment import Augment


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype("float32")


def augmented(images, **settings):
    return keras.ops.convert_to_numpy(Augment(**settings)(images, training=True))


def all_shifts(image, limit, flip):
    """{(dy, dx, flipped): image} for every outcome, with the border pixel repeated."""
    outcomes = {}
    for flipped in (False, True) if flip else (False,):
        source = image[:, ::-1] if flipped else image
        padded = np.pad(source, ((limit, limit), (limit, limit), (0, 0)), mode="edge")
        for dy in range(-limit, limit + 1):
            for dx in range(-limit, limit + 1):
                top, left = limit + dy, limit + dx
                outcomes[dy, dx, flipped] = padded[top : top + 32, left : left + 32]
    return outcomes


def test_nothing_happens_at_inference(images):
    layer = Augment(shift=4, flip=True, erase_probability=1.0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(images)), images)


def test_every_outcome_is_a_shift_with_nearest_fill_and_a_flip(images):
    results = augmented(images, shift=2, flip=True)
    found = []
    for image, result in zip(images, results, strict=True):
        matches = [k for k, v in all_shifts(image, 2, True).items() if np.array_equal(v, result)]
        assert len(matches) == 1
        found.append(matches[0])
    vertical, horizontal, flipped = zip(*found, strict=True)
    assert set(vertical) == set(horizontal) == {-2, -1, 0, 1, 2}
    assert 16 < sum(flipped) < 48
    assert len(set(found)) > 25  # the axes and the flip are drawn independently


def test_shift_and_flip_do_without_each_other(images):
    shifted, mirrored = augmented(images, shift=2, flip=False), augmented(images, shift=0)
    flips = 0
    for image, one, other in zip(images, shifted, mirrored, strict=True):
        assert any(np.array_equal(one, v) for v in all_shifts(image, 2, False).values())
        flips += np.array_equal(other, image[:, ::-1])
        assert np.array_equal(other, image) or np.array_equal(other, image[:, ::-1])
    assert 16 < flips < 48 and not np.array_equal(shifted, images)


@pytest.mark.parametrize("count", [2, 4])
def test_devices_that_share_a_batch_draw_the_numbers_of_the_whole_batch(images, monkeypatch, count):
    """Each augments its own part; together they make what a single device makes."""
    settings = {"shift": 4, "flip": True, "erase_probability": 0.5, "erase_fill": (0.0, 1.0)}
    parts = []
    for position, part in enumerate(np.split(images, count)):
        with monkeypatch.context() as patch:
            patch.setattr("utils.model.augment.this_replica", lambda at=position: (at, count))
            parts.append(augmented(part, **settings))
    np.testing.assert_array_equal(np.concatenate(parts), augmented(images, **settings))


def test_random_numbers_do_not_depend_on_the_precision_set_for_all_layers(images):
    settings = {"shift": 4, "erase_probability": 0.5, "erase_fill": (0.0, 1.0)}
    expected = augmented(images, **settings)
    keras.config.set_floatx("float16")
    try:
        np.testing.assert_array_equal(augmented(images, **settings), expected)
    finally:
        keras.config.set_floatx("float32")


def test_shift_and_flip_can_be_switched_off(images):
    np.testing.assert_array_equal(augmented(images, shift=0, flip=False), images)


def test_erased_area_and_share_of_images(images):
    many = np.tile(images, (16, 1, 1, 1))
    low, high = 0.1, 0.3
    results = augmented(
        many, shift=0, flip=False, erase_probability=0.5, erase_area=(low, high),
        erase_ratio=(0.5, 2.0),
    )  # fmt: skip
    erased = np.any(results != many, axis=-1)
    share = erased.mean(axis=(1, 2))
    assert 0.45 < (share > 0).mean() < 0.55
    # Rounding down to whole pixels takes less than one row and one column off.
    assert share.max() <= high and share[share > 0].min() > low - 2 * 32 / 1024
    assert 0.15 < share[share > 0].mean() < 0.2  # uniform in 0.1..0.3, less the rounding
    for box in erased[share > 0][:50]:
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_erased_boxes_reach_every_border_equally_often(images):
    many = np.tile(images, (32, 1, 1, 1))
    results = augmented(
        many, shift=0, flip=False, erase_probability=1.0, erase_area=(0.05, 0.1),
        erase_ratio=(0.5, 2.0),
    )  # fmt: skip
    erased = np.any(results != many, axis=-1)
    touched = {
        "top": erased[:, 0].any(-1), "bottom": erased[:, -1].any(-1),
        "left": erased[:, :, 0].any(-1), "right": erased[:, :, -1].any(-1),
    }  # fmt: skip
    # A box of 9 pixels has 24 places, one of them at each border; its sides are 6 to 14 long.
    for border, boxes in touched.items():
        assert 0.03 < boxes.mean() < 0.06, border


def test_erased_pixels_take_the_fill_of_their_channel(images):
    results = augmented(
        images, shift=0, flip=False, erase_probability=1.0,
        erase_fill=((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0)),
    )  # fmt: skip
    drawn = set()
    for image, result in zip(images, results, strict=True):
        colors = result[np.any(result != image, axis=-1)]
        u = (colors / [1.0, 2.0, 3.0] + 1) / 2  # back to the one draw behind the three channels
        np.testing.assert_allclose(u, u[0, 0], atol=1e-5)
        drawn.add(round(float(u[0, 0]), 4))
    assert min(drawn) < 0.1 and max(drawn) > 0.9


def test_default_fill_is_the_mean_color_after_normalization(images):
    results = augmented(images, shift=0, flip=False, erase_probability=1.0)
    assert (results[results != images] == 0).all()


def test_the_stream_repeats_from_the_seed_and_moves_on(images):
    layer = Augment(seed=3)
    first = keras.ops.convert_to_numpy(layer(images, training=True))
    second = keras.ops.convert_to_numpy(layer(images, training=True))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(augmented(images, seed=3), first)
    assert not np.array_equal(augmented(images, seed=4), first)


def test_configuration_round_trip():
    layer = Augment(shift=3, erase_probability=0.5, erase_fill=(0.0, 1.0), seed=7)
    assert Augment.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shift": -1}, "shift must be .* got -1"),
        ({"shift": 1.5}, "shift must be .* got 1.5"),
        ({"shift": float("inf")}, "shift must be a whole number from 0 to 65,535, got inf"),
        ({"shift": float("nan")}, "shift must be .* got nan"),
        ({"shift": 2**40}, "shift must be .* to 65,535, got 1099511627776"),
        ({"shift": "4"}, "shift must be .* got '4'"),
        ({"erase_probability": 1.5}, "erase_probability must be .* from 0 to 1, got 1.5"),
        ({"erase_probability": float("nan")}, "erase_probability .* got nan"),
        ({"erase_area": (0.1,)}, "erase_area .* got .0.1,."),
        ({"erase_area": None}, "erase_area .* got None"),
        ({"erase_area": (0.1, float("nan"))}, "erase_area .* got .0.1, nan."),
        ({"erase_ratio": (0.3, float("inf"))}, "erase_ratio .* both finite, got .0.3, inf."),
        ({"erase_fill": (0.0, float("nan"))}, "erase_fill .* got .0.0, nan."),
        ({"erase_fill": ((0.0, float("inf"), 0.0), 0.0)}, "erase_fill .* one a channel, got"),
        ({"erase_fill": 0.0}, "erase_fill must be .low, high.* got 0.0"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4,294,967,295, got -1"),
        ({"seed": float("inf")}, "seed must be .* got inf"),
        ({"erase_area": (0.5, 0.2)}, "erase_area .* got .0.5, 0.2."),
        ({"erase_ratio": (0.0, 1.0)}, "erase_ratio .* got .0.0, 1.0."),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augment(**arguments)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((8, 8, 3), "float32"), ((2, 8, 8, 3), "uint8"), ((2, 8, 8), "float32")]
)
def test_what_is_no_batch_of_normalized_images_is_refused(shape, dtype):
    with pytest.raises(ValueError, match="pass normalized images, floats .batch, height"):
        Augment()(np.zeros(shape, dtype), training=True)


def test_images_of_any_size_are_augmented_inside_a_model(images):
    layer = Augment(shift=2, flip=True, erase_probability=1.0, seed=3)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs, training=True))
    result = keras.ops.convert_to_numpy(model(images))
    assert result.shape == images.shape
    assert (result == 0).all(axis=-1).any(axis=(1, 2)).all(), "a rectangle in each"
