"""The figures of single Grad-CAM maps: steps, depths and methods; what does not fit refused."""

import numpy as np
import pytest
from sample_figures import IMAGES, MAPS, OVERLAYS, WEIGHTS

from utils.figures.grad_cam import plot_cam_depth, plot_cam_methods, plot_cam_steps

ZEROS = np.zeros((32, 32, 3), "uint8")


def test_steps_show_the_channels_that_contribute_most():
    weights = np.full(12, 0.1)
    weights[[7, 2, 9]] = 30, -20, 10
    maps = np.ones((8, 8, 12))
    figure = plot_cam_steps(IMAGES[0], maps, weights, maps @ weights, OVERLAYS[0])
    titles = [axes.get_title() for axes in figure.axes[1:4]]
    assert titles == [
        "channel 7, weight +30", "channel 2, weight \u221220", "channel 9, weight +10"
    ]  # fmt: skip


def test_depths_and_methods_stand_in_the_order_they_were_given():
    figure = plot_cam_depth(IMAGES[0], OVERLAYS[:2], ["stage1_add", "last_relu"])
    assert [axes.get_title() for axes in figure.axes] == ["image", "stage1 add", "last relu"]
    figure = plot_cam_methods(
        IMAGES[:2], {"b": OVERLAYS[:2], "a": OVERLAYS[2:4]}, ["cat,\nnot dog", "dog"]
    )
    shown = [axes.images[0].get_array() for axes in figure.axes]
    expected = [IMAGES[0], OVERLAYS[0], OVERLAYS[2], IMAGES[1], OVERLAYS[1], OVERLAYS[3]]
    assert all((a == b).all() for a, b in zip(shown, expected, strict=True))
    assert figure.description == "Maps of b, a for cat, not dog; dog"


def test_long_layer_names_are_wrapped():
    figure = plot_cam_depth(IMAGES[0], OVERLAYS[:5], ["stage3_block5_3_conv"] * 5)
    assert figure.axes[1].get_title() == "stage3 block5 3\nconv"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_cam_steps(ZEROS, MAPS, np.ones(10), MAPS[..., 0], ZEROS), r"weights.*\(12\)"),
        (lambda: plot_cam_steps(ZEROS, MAPS, WEIGHTS, MAPS, ZEROS), r"raw_map.*\(8, 8\)"),
        (
            lambda: plot_cam_steps(ZEROS, MAPS[..., :2], np.ones(2), MAPS[..., 0], ZEROS),
            "3 channels or more, got 2",
        ),
        (lambda: plot_cam_methods([], {"x": []}, []), "0 images, 0 names"),
        (lambda: plot_cam_methods([ZEROS], {}, ["cat"]), r"overlays \{\}"),
        (
            lambda: plot_cam_methods([ZEROS], {"x": [ZEROS] * 2}, ["cat"]),
            r"1 images, 1 names and overlays \{'x': 2\}",
        ),
        (lambda: plot_cam_depth(ZEROS, [ZEROS], []), "1 overlays and 0 names"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
