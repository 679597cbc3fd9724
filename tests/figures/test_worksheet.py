"""The drawings of the worksheet: what they say, and what they refuse."""

import numpy as np
import pytest

from utils.figures.worksheet import plot_receptive_field, plot_weighted_sum


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_squares_have_the_sides_of_the_fields_and_name_those_wider_than_the_image():
    figure = plot_receptive_field(["stem", "stage 2"], [3, 39])
    sides = [patch.get_width() for patch in figure.axes[0].patches]
    assert sides == [32, 3, 39]
    assert texts(figure) == [
        "stem: 3 x 3",
        "image: 32 x 32 pixels",
        "stage 2: 39 x 39, wider than the image",
    ]
    assert "sides of 3 pixels (stem), 39 pixels (stage 2)" in figure.description


def test_the_sum_prints_channels_sum_relu_and_normalized_map():
    maps = np.array([[[1.0, 4.0]], [[2.0, 1.0]]])  # two channels of two rows and one column
    figure = plot_weighted_sum(maps, [0.5, -0.25], [[-0.5], [0.75]])
    numbers = [text for text in texts(figure) if text.lstrip("\u2212").replace(".", "").isdigit()]
    assert numbers == ["1", "2", "4", "1", "\u22120.5", "0.75", "0", "0.75", "0", "1"]
    assert {"0.5 ·", "\u2212 0.25 ·", "="} <= set(texts(figure))
    assert "weighted sum \u22120.5; 0.75, after the ReLU 0; 0.75" in figure.description


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plot_receptive_field(["a", "b"], [3]), "2 names and 1 fields"),
        (lambda: plot_receptive_field([], []), "1 to 4, got 0 names"),
        (lambda: plot_receptive_field(["a"] * 5, [3] * 5), "got 5 names"),
        (lambda: plot_weighted_sum(np.zeros((2, 2)), [1], np.zeros((2, 2))), "maps must have"),
        (lambda: plot_weighted_sum(np.zeros((2, 2, 1)), [1, 2], np.zeros((2, 2))), "weights must"),
        (lambda: plot_weighted_sum(np.zeros((2, 2, 1)), [1], np.zeros((2, 3))), "raw_map must"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
