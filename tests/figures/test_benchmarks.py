"""The figure of growth: a panel for each size, ticks where it was measured."""

import numpy as np
from sample_figures import scaling_panels

from utils.figures.benchmarks import Panel, plot_scaling

PANEL = Panel("images", "time (s)", (1000, 8000), (3.0, 4.0), (2.0, 4.0), (3.0, 5.0))


def test_every_panel_is_drawn_and_the_legend_names_each_line_once():
    figure = plot_scaling(scaling_panels()[:5])
    assert [axes.axison for axes in figure.axes] == [True] * 5 + [False]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "in proportion"]


def test_ticks_stand_where_it_was_measured_and_proportional_growth_starts_at_the_first_point():
    axes = plot_scaling([PANEL]).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1,000", "8,000"]
    curve, guide = axes.lines
    np.testing.assert_allclose(curve.get_xydata(), [[1000, 3], [8000, 4]])
    np.testing.assert_allclose(guide.get_xydata(), [[1000, 3], [8000, 24]])
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("images", "time (s)")


def test_the_description_says_how_much_each_curve_grows():
    description = plot_scaling([PANEL]).description
    assert "time (s) by images: 3 at 1,000, 4 at 8,000" in description


def test_the_description_writes_large_numbers_without_an_exponent():
    memory = PANEL._replace(y_label="memory (MB)", median=(1299.7, 12345))
    assert "by images: 1,300 at 1,000, 12,300 at 8,000" in plot_scaling([memory]).description
