"""The gallery marks what is wrong, and refuses what does not fit."""

import numpy as np
import pytest
from sample_figures import IMAGES, OVERLAYS, captions

from utils.figures.gallery import plot_cam_gallery

ZEROS = np.zeros((32, 32, 3), "uint8")


def test_what_is_wrong_is_marked_without_color_alone():
    figure = plot_cam_gallery(
        IMAGES[:2], OVERLAYS[:2], [("cat", "cat", 0.9), ("cat", "dog", 0.6)], 2
    )
    right, wrong = figure.axes[:2]
    assert "\u2713 cat 90 %" in right.get_title(loc="left") and not right.patches
    assert "\u2717 dog 60 %\n    truth: cat" in wrong.get_title(loc="left") and wrong.patches
    assert figure.description.endswith("1 of them wrongly classified: cat; cat taken for dog")


@pytest.mark.parametrize(
    "group, marks",
    [
        ([("cat", "cat", 0.9)], "\u2713 right; %"),
        ([("cat", "dog", 0.9)], "\u2717 wrong, framed; %"),
        ([("cat", "dog", 0.9), ("cat", "cat", 0.8)], "\u2713 right; \u2717 wrong, framed; %"),
        ([(None, "cat", 0.9)], "%"),
    ],
)
def test_the_marks_that_occur_are_explained(group, marks):
    count = len(group)
    figure = plot_cam_gallery(IMAGES[:count], OVERLAYS[:count], group)
    assert figure.axes[-1].get_xlabel() == f"{marks} is the confidence of the prediction"


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_cam_gallery([], [], [], 4), "got 0 images, 0 overlays"),
        (lambda: plot_cam_gallery(IMAGES[:2], OVERLAYS[:1], captions(2)), "1 overlays"),
        (lambda: plot_cam_gallery([ZEROS], [ZEROS], [("cat", "cat", 87)]), "0..1, got 87"),
        (
            lambda: plot_cam_gallery([ZEROS], [[ZEROS]], captions(1), maps=("one", "other")),
            r"2 overlays for each image.*got \[1\]",
        ),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("shape", [(32, 32), (24, 48), (50, 20)])
def test_pictures_keep_their_proportions_and_stay_in_their_cells(shape):
    wide = np.zeros((*shape, 3), "uint8")
    axes = plot_cam_gallery([wide], [wide], captions(1)).axes[0]
    boxes = [image.get_extent() for image in axes.images]
    for left, right, bottom, top in boxes:
        assert (bottom - top) / (right - left) == pytest.approx(shape[0] / shape[1])
        assert max(bottom - top, right - left) == pytest.approx(224)
        assert 0 <= top < bottom <= 224
    assert boxes[0][1] < boxes[1][0]
