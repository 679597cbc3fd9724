"""Maps are resized between pixel centers and laid over their image in true colors."""

import numpy as np
import pytest

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
        ({"image": np.zeros((32, 16, 3))}, r"square RGB.*\(32, 16, 3\).*center_square"),
        ({"image": np.zeros((32, 32, 2))}, "square RGB"),
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
