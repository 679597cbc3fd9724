"""The figure of a photo: the square in use, the most probable classes first."""

import numpy as np
import pytest
from sample_figures import IMAGES, NAMES, PHOTO

from utils.figures.photo import plot_photo

ZEROS = np.zeros((32, 32, 3), "uint8")


def test_the_square_in_use_is_framed_and_the_best_classes_are_named():
    odds = np.array([0.1, 0.05, 0.6, 0.25, *[0.0] * 6])
    photo, _, _, bars = plot_photo(PHOTO, IMAGES[0], PHOTO, odds, NAMES, top=2).axes
    frame = photo.patches[-1]
    assert frame.get_xy() == (29.5, -0.5) and frame.get_width() == frame.get_height() == 120
    assert [text.get_text() for text in bars.texts] == ["bird 60.0 %", "cat 25.0 %"]


@pytest.mark.parametrize("height, width", [(60, 1600), (1600, 20)])
def test_a_strip_leaves_room_for_titles_and_bars(height, width):
    strip = np.zeros((height, width, 3), "uint8")
    figure = plot_photo(strip, IMAGES[0], strip, np.array([0.7, 0.3]), ("cat", "dog"))
    assert figure.get_size_inches()[1] > 1.2
    panels = [axes.get_subplotspec().get_position(figure).width for axes in figure.axes]
    assert min(panels[0], panels[2]) > 0.5 * panels[1]


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: plot_photo(ZEROS, ZEROS, ZEROS[:9], np.ones(2), "ab"),
            r"one size, got \(32, 32, 3\) and \(9, 32, 3\)",
        ),
        (
            lambda: plot_photo(ZEROS, ZEROS, ZEROS, np.ones(3), "ab"),
            r"probabilities must have shape \(2\)",
        ),
        (lambda: plot_photo(ZEROS, ZEROS, ZEROS, np.ones(2), "ab", 0), "1 or more, got 0"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
