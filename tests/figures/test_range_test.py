"""The figures of the range test: every suggestion named, what does not fit refused."""

import types

import numpy as np
import pytest
from sample_figures import Suggestions, sweep

from utils.figures.range_test import plot_peak_study, plot_range_test


def bad_result(**changes):
    return types.SimpleNamespace(**{**vars(sweep()), **changes})


def test_every_suggestion_is_labeled():
    figure = plot_range_test(sweep(), Suggestions(0.1, 0.05, None, 1.3), 0.3, 0.4)
    labels = {text.get_text() for text in figure.axes[0].texts} - {""}
    peaks = {"proposed peak  0.3", "recipe's peak  0.4"}
    assert labels == {"steep  0.1", "minimum  0.05", "slide  1.3"} | peaks


@pytest.mark.parametrize("measured_on, label", [("batch", "training"), ("held-out", "held-out")])
def test_the_axis_says_which_loss_was_measured(measured_on, label):
    axes = plot_range_test(bad_result(measured_on=measured_on)).axes[0]
    assert axes.get_ylabel() == f"{label} loss"


def test_peak_study_draws_the_mean_of_the_seeds_of_each_peak():
    suggestions = Suggestions(0.1, 0.05, float("nan"), 1.3)
    figure = plot_peak_study([0.1, 1], [[0.5, 0.7], [0.4]], suggestions, 0.2)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    mean = lines["mean; dots are single seeds"]
    np.testing.assert_allclose(mean.get_xydata(), [[0.1, 60], [1, 40]])
    assert {"steep 0.1", "minimum 0.05", "slide 1.3", "proposed peak 0.2"} <= set(lines)
    assert not any("valley" in label for label in lines)
    assert "best 60.0 % at 0.1" in figure.description


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_range_test(bad_result(loss=[1.0])), r"loss.*\(80\), got \(1,\)"),
        (lambda: plot_range_test(bad_result(lr=np.zeros(80))), "must be > 0.*got 0.0"),
        (lambda: plot_range_test(sweep(), None, -1.0), "must be > 0.*got -1.0"),
        (lambda: plot_peak_study([], [], Suggestions(1, 2, 3, 4), 0.1), "at least one peak"),
        (lambda: plot_peak_study([1, 2], [[0.5]], Suggestions(1, 2, 3, 4), 1), "2 peaks.*\\[1\\]"),
        (lambda: plot_peak_study([1], [[]], Suggestions(1, 2, 3, 4), 1), "1 peaks.*\\[0\\]"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
