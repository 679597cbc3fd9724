"""The figures of Grad-CAM mark what is wrong, and refuse what does not fit."""

import numpy as np
import pytest
from sample_figures import IMAGES, MAPS, OVERLAYS, WEIGHTS, captions, curves

from utils.figures import plots_gradcam


def test_gallery_marks_what_is_wrong_without_color_alone():
    figure = plots_gradcam.plot_cam_gallery(
        IMAGES[:2], OVERLAYS[:2], [("cat", "cat", 0.9), ("cat", "dog", 0.6)], 2
    )
    right, wrong = figure.axes[:2]
    assert "\u2713 cat 90 %" in right.get_title(loc="left") and not right.patches
    assert "\u2717 dog 60 %\n    truth: cat" in wrong.get_title(loc="left") and wrong.patches


ZEROS = np.zeros((32, 32, 3), "uint8")


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: plots_gradcam.plot_cam_steps(ZEROS, MAPS, np.ones(10), MAPS[..., 0], ZEROS),
            r"weights.*\(12\)",
        ),
        (
            lambda: plots_gradcam.plot_cam_steps(ZEROS, MAPS, WEIGHTS, MAPS, ZEROS),
            r"raw_map.*\(8, 8\)",
        ),
        (
            lambda: plots_gradcam.plot_cam_steps(
                ZEROS, MAPS[..., :2], np.ones(2), MAPS[..., 0], ZEROS
            ),
            "3 channels or more, got 2",
        ),
        (lambda: plots_gradcam.plot_cam_gallery([], [], [], 4), "got 0 images, 0 overlays"),
        (
            lambda: plots_gradcam.plot_cam_gallery(IMAGES[:2], OVERLAYS[:1], captions(2)),
            "1 overlays",
        ),
        (
            lambda: plots_gradcam.plot_cam_gallery([ZEROS], [ZEROS], [("cat", "cat", 87)]),
            "0..1, got 87",
        ),
        (
            lambda: plots_gradcam.plot_cam_gallery(
                [ZEROS], [[ZEROS]], captions(1), maps=("one", "other")
            ),
            r"2 overlays for each image.*got \[1\]",
        ),
        (lambda: plots_gradcam.plot_cam_methods([], {"x": []}, []), "0 images, 0 names"),
        (lambda: plots_gradcam.plot_cam_methods([ZEROS], {}, ["cat"]), r"overlays \{\}"),
        (
            lambda: plots_gradcam.plot_cam_methods([ZEROS], {"x": [ZEROS] * 2}, ["cat"]),
            r"1 images, 1 names and overlays \{'x': 2\}",
        ),
        (
            lambda: plots_gradcam.plot_photo(ZEROS, ZEROS, ZEROS[:9], np.ones(2), "ab"),
            r"one size, got \(32, 32, 3\) and \(9, 32, 3\)",
        ),
        (
            lambda: plots_gradcam.plot_photo(ZEROS, ZEROS, ZEROS, np.ones(3), "ab"),
            r"probabilities must have shape \(2\)",
        ),
        (lambda: plots_gradcam.plot_cam_depth(ZEROS, [ZEROS], []), "1 overlays and 0 names"),
        (lambda: plots_gradcam.plot_faithfulness({}), "1 to 4 methods, got 0"),
        (
            lambda: plots_gradcam.plot_faithfulness(
                {"x": curves()._replace(deletion=np.ones((3, 2)))}
            ),
            r"deletion of x must have shape \(any, 9\)",
        ),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
