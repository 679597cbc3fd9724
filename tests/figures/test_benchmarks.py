"""The figure of growth: every variant in every panel, ticks where it was measured."""

import numpy as np
import pytest
from sample_figures import scaling_panels

from utils.figures.benchmarks import Panel, plot_scaling


def panel(x=(1, 2), median=(3.0, 4.0), low=(2.0, 4.0), high=(3.0, 5.0)):
    return Panel("images", "time (s)", {"ours": (x, median, low, high)})


def test_each_variant_looks_the_same_in_all_panels_and_has_one_place_in_the_legend():
    panels = scaling_panels()
    panels[1] = (*panels[1][:2], {"jax": panels[1][2]["jax"]})
    figure = plot_scaling(panels)
    assert len(figure.axes) == 6
    looks = {
        (line.get_color(), line.get_linestyle(), line.get_marker())
        for axes in figure.axes
        for line in axes.lines
        if len(line.get_xdata()) > 2  # not the line of proportional growth
    }
    assert len(looks) == 2
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["tensorflow", "jax", "in proportion"]


def test_ticks_stand_where_it_was_measured_and_proportional_growth_starts_at_the_first_point():
    axes = plot_scaling([panel(x=(1000, 8000))]).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1,000", "8,000"]
    curve, guide = axes.lines
    np.testing.assert_allclose(curve.get_xydata(), [[1000, 3], [8000, 4]])
    np.testing.assert_allclose(guide.get_xydata(), [[1000, 3], [8000, 24]])
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("images", "time (s)")


def test_the_description_says_how_much_each_curve_grows():
    description = plot_scaling([panel(x=(1000, 8000))]).description
    assert "time (s) by images, ours: 3 at 1,000, 4 at 8,000" in description


def test_the_description_writes_large_numbers_without_an_exponent():
    curve = [1000, 8000], [1299.7, 12345], [1290, 12000], [1310, 13000]
    description = plot_scaling([Panel("images", "memory (MB)", {"ours": curve})]).description
    assert "ours: 1,300 at 1,000, 12,300 at 8,000" in description


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_scaling([]), r"panels with \[\] curves"),
        (lambda: plot_scaling([("x", "y", {})]), r"panels with \[0\] curves"),
        (lambda: plot_scaling([panel()], columns=0), "got 0 columns"),
        (lambda: plot_scaling([("x", "y", dict.fromkeys("abcde"))]), "4 variants apart, got.*'e'"),
        (lambda: plot_scaling([panel(x=(1,))]), r"two or more ascending sizes, got \[1"),
        (lambda: plot_scaling([panel(x=(2, 1))]), r"ascending sizes, got \[2"),
        (lambda: plot_scaling([panel(median=(3,))]), r"median of ours of 'time.*\(2\).*\(1,\)"),
        (lambda: plot_scaling([panel(low=(0, 4))]), "finite and > 0.*got 0.0"),
        (lambda: plot_scaling([panel(high=(np.nan, 5))]), "finite and > 0"),
        (lambda: plot_scaling([panel(low=(3.5, 4))]), "low <= median <= high, got .3.5"),
        (lambda: plot_scaling([panel(high=(3, 3))]), "low <= median <= high"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
