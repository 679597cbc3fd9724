"""The figure of the proofs: mean and area of each method, the cascade from its start at 1."""

import numpy as np
import pytest
from sample_figures import LAYERS, Randomization, curves

from utils.figures.faithfulness import plot_faithfulness, plot_pointing


def test_curves_are_means_over_images_with_their_area():
    one = curves()
    insertion, deletion = plot_faithfulness({"Grad-CAM": one}).axes
    for axes, field in ((insertion, "insertion"), (deletion, "deletion")):
        (line,) = axes.lines
        np.testing.assert_allclose(line.get_ydata(), 100 * getattr(one, field).mean(axis=0))
        assert line.get_label() == f"Grad-CAM, area {getattr(one, f'{field}_area').mean():.2f}"


def test_the_cascade_starts_where_a_map_is_compared_with_itself():
    falling = np.linspace(0.8, -0.1, 5)
    draws = np.stack([falling + 0.1, falling - 0.1])
    randomization = Randomization(LAYERS, np.repeat(draws[..., None], 4, axis=2))
    figure = plot_faithfulness({"Grad-CAM": curves()}, randomization)
    *thin, thick, _ = figure.axes[2].lines  # the last one marks zero
    for line, values in zip([*thin, thick], [*draws, falling], strict=True):
        np.testing.assert_allclose(line.get_ydata(), [1, *values])
    assert figure.axes[2].get_xticklabels()[0].get_text() == "none"
    assert figure.description.endswith(
        "2 draws of the weights: 1.00, 0.80, 0.58, 0.35, 0.12, -0.10"
    )


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_faithfulness({}), "1 to 4 methods, got 0"),
        (
            lambda: plot_faithfulness({"x": curves()._replace(deletion=np.ones((3, 2)))}),
            r"deletion of x must have shape \(any, 9\)",
        ),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_pointing_game_marks_where_the_heat_is_highest():
    images = np.zeros((2, 8, 8, 3), "uint8")
    masks = np.zeros((2, 8, 8), bool)
    masks[:, 2:5, 2:5] = True
    heat = np.zeros((2, 8, 8))
    heat[0, 3, 4] = heat[1, 6, 1] = 1
    large = images.repeat(4, axis=1).repeat(4, axis=2)
    figure = plot_pointing(images, masks, heat, large, ["disc", "ring"])
    assert {axes.get_xlim() for axes in figure.axes} == {(-0.5, 7.5)}
    marks = [axes.lines[0] for axes in figure.axes[2:]]
    assert [mark.get_marker() for mark in marks] == ["o", "x"]
    assert [(mark.get_xdata()[0], mark.get_ydata()[0]) for mark in marks] == [(4, 3), (1, 6)]
    assert figure.description.startswith("The highest value of the heatmap lies on the object in 1")
    with pytest.raises(ValueError, match="masks"):
        plot_pointing(images, masks[:1], heat, images, ["disc", "ring"])
