"""Maps are resized between pixel centers and laid over their image in true colors."""

import re

import keras
import numpy as np
import pytest

from utils.explain.grad_cam import grad_cam
from utils.explain.overlay import overlay, resize_maps


def test_resize_is_bilinear_between_pixel_centers():
    tiny = np.array([[[0, 1], [2, 3]]], "float32")
    expected = [0, 0.25, 0.75, 1]  # centers of 4 pixels at -0.25, 0.25, 0.75, 1.25, edges repeated
    np.testing.assert_allclose(resize_maps(tiny, (4, 4))[0, 0], expected, atol=1e-6)
    assert resize_maps(tiny, (3, 5)).shape == (1, 3, 5)


def test_zero_map_leaves_colors_alone():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    picture = overlay(red, np.zeros((8, 8)))
    assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, np.broadcast_to([200, 0, 0], (256, 256, 3)))


@pytest.mark.parametrize("colormap, color", [("inferno", (252, 255, 164)), ("jet", (128, 0, 0))])
def test_hottest_color_is_in_rgb_order(colormap, color):
    hot = overlay(np.zeros((4, 4, 3)), np.ones((2, 2)), size=8, colormap=colormap, max_opacity=1)
    np.testing.assert_allclose(hot[4, 4], color, atol=1)


def test_opacity_follows_the_heat():
    gray, heat = np.full((32, 32, 3), 128, np.uint8), np.zeros((8, 8))
    heat[2, 6] = 1
    change = np.abs(overlay(gray, heat, size=64).astype(int) - 128).sum(2)
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert (row // 8, column // 8) == (2, 6)
    assert change[40:].max() == 0
    assert overlay(np.zeros((100, 100, 3)), heat, size=32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image": np.zeros((32, 16, 3))}, r"heatmap of \(8, 8\) does not fit.*\(32, 16\)"),
        ({"image": np.zeros((32, 32, 2))}, r"must be RGB \(height, width, 3\) or gray"),
        ({"image": np.full((4, 4, 3), np.nan)}, "finite"),
        ({"image": np.full((4, 4, 3), 256)}, "0..255"),
        ({"heatmap": np.zeros((1, 8, 8))}, r"one map.*\(1, 8, 8\)"),
        ({"heatmap": np.full((8, 8), 2.0)}, r"0\.\.1, got 2.*normalize=True"),
        ({"heatmap": np.full((8, 8), np.nan)}, "got nan"),
        ({"colormap": "infeno"}, "'infeno'.*'inferno'"),
        ({"size": 0}, "got 0"),
        ({"max_opacity": 1.5}, "1.5"),
    ],
)
def test_bad_overlay(arguments, message):
    good = {"image": np.zeros((32, 32, 3)), "heatmap": np.zeros((8, 8))}
    with pytest.raises(ValueError, match=message):
        overlay(**(good | arguments))


def test_an_edge_is_enlarged_without_values_that_wrap_around():
    """Cubic interpolation overshoots beside an edge, below 0 and above 255."""
    edge = np.zeros((8, 8, 3), "uint8")
    edge[:, 4:] = 255
    hot = {"heatmap": edge[..., 0] / 255, "colormap": "gray"}
    for picture in (overlay(edge, np.zeros((2, 2)), size=64), overlay(edge * 0, size=64, **hot)):
        assert (np.diff(picture[32, :, 0].astype(int)) >= 0).all()


FITS = {  # image: maps that may be its own
    (32, 32): [(1, 1), (2, 2), (8, 8), (32, 32), (256, 256)],
    (48, 64): [(1, 1), (1, 2), (3, 4), (6, 8), (48, 64), (96, 128)],
    (64, 48): [(4, 3)],
    (250, 255): [(8, 8), (7, 8), (250, 255)],
    (33, 50): [(3, 5), (4, 6), (5, 7), (16, 25), (17, 25)],  # of convolutions and pooling
    (33, 64): [(2, 2)],
    (2, 2): [(1, 1), (2, 2)],
    (299, 400): [(8, 11), (9, 12), (10, 13)],
    (100, 150): [(171, 256), (170, 256)],
}
OTHERS = {
    (48, 48): [(24, 48), (3, 4), (8, 9), (36, 48), (48, 47)],
    (48, 64): [(4, 3), (8, 8), (48, 48), (64, 48), (48, 60)],
    (250, 255): [(8, 7), (255, 250), (256, 256)],
}


@pytest.mark.parametrize("image", FITS)
def test_a_map_of_the_image_is_drawn_in_its_proportions(image):
    pixels = np.random.default_rng(0).integers(0, 256, (*image, 3), dtype="uint8")
    for shape in FITS[image]:
        drawn = overlay(pixels, np.zeros(shape), size=max(image))
        np.testing.assert_array_equal(drawn, pixels)
        assert overlay(pixels, np.ones(shape), size=3).shape[:2] == tuple(
            round(3 * side / max(image)) for side in image
        )


@pytest.mark.parametrize("image", OTHERS)
def test_a_map_of_another_image_is_refused_and_the_remedy_works(image):
    pixels = np.zeros((*image, 3), "uint8")
    for shape in OTHERS[image]:
        with pytest.raises(ValueError, match="in the wrong place.*image that was explained"):
            overlay(pixels, np.zeros(shape))


def test_a_map_of_convolutions_without_padding_and_the_remedy():
    """Their border is lost on both sides, so their map is not as wide for its height."""
    parts = [keras.layers.Conv2D(3, 3), keras.layers.Conv2D(3, 5)]
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((16, 24, 3)), *parts, *head])
    images = np.random.default_rng(0).random((1, 16, 24, 3), "float32")
    (native,) = grad_cam(model, images, 1, size=None)
    with pytest.raises(ValueError, match=r'whole, and.*: grad_cam\(..., size="input"\)'):
        overlay(255 * images[0], native)
    (whole,) = grad_cam(model, images, 1, size="input")
    assert overlay(255 * images[0], whole).shape == (171, 256, 3)


def test_a_hot_corner_stays_in_its_corner_of_a_wide_image():
    heat = np.zeros((3, 4))
    heat[0, 3] = 1
    drawn = overlay(np.zeros((48, 64, 3), "uint8"), heat, size=64).sum(axis=2)
    assert np.unravel_index(drawn.argmax(), drawn.shape)[0] < 16
    assert drawn[:16, 48:].sum() > 0.6 * drawn.sum() and drawn.shape == (48, 64)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (8, 8, 4)])
def test_a_batch_or_opacity_is_refused_and_the_remedy_works(shape):
    image = np.zeros(shape, "uint8")
    with pytest.raises(ValueError, match="must be RGB") as caught:
        overlay(image, np.zeros((8, 8)))
    remedy = re.search(r": (image\[.*\])\.$", str(caught.value))[1]
    assert overlay(eval(remedy, {"image": image}), np.zeros((8, 8))).shape == (256, 256, 3)
