"""The figures of data and training show what they are given, and refuse what does not fit."""

import types

import numpy as np
import pytest
from sample_figures import (
    IMAGES,
    LABELS,
    MOMENTUM,
    NAMES,
    ONE_CYCLE,
    STEPS,
    Suggestions,
    dataset,
    history,
    sweep,
)

from utils.figures import plots


def test_class_grid_shows_each_class_in_its_column():
    colors = np.linspace(20, 240, 10).astype("uint8")
    data = dataset()
    data.x_train = np.broadcast_to(colors[LABELS][:, None, None, None], (40, 32, 32, 3)).copy()
    shown = plots.plot_class_grid(data, per_class=4).axes[0].images[0].get_array()
    assert shown.shape == (4 * 34 - 2, 10 * 34 - 2, 3)
    assert [int(shown[70, 34 * k + 16, 0]) for k in range(10)] == colors.tolist()


def test_knots_are_where_the_curve_turns():
    triangle = np.interp(STEPS, [0, 149, 298, 499], [0.95, 0.85, 0.95, 0.95])
    assert plots._turning_points(triangle, 11) == [0, 149, 298, 499]
    assert plots._turning_points(np.full(500, 0.9), 11) == [0, 499]
    stairs = np.repeat([1.0, 2, 3, 2, 1], 100)
    assert plots._turning_points(stairs, 101) == [0, 299, 499]


def test_range_test_labels_every_suggestion():
    figure = plots.plot_range_test(sweep(), Suggestions(0.1, 0.05, None, 1.3), 0.3)
    labels = {text.get_text() for text in figure.axes[0].texts} - {""}
    assert labels == {"steep  0.1", "minimum  0.05", "slide  1.3", "chosen peak  0.3"}


def test_history_takes_rows_and_columns():
    rows = history(4)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    a, b = (plots.plot_history(data).axes[0].lines[0].get_ydata() for data in (rows, columns))
    np.testing.assert_array_equal(a, b)


def bad_result(**changes):
    return types.SimpleNamespace(**{**vars(sweep()), **changes})


ONES = np.ones(10)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plots.plot_class_grid(dataset(), per_class=9), "from 1 to 4.*'airplane', got 9"),
        (lambda: plots.plot_class_grid(dataset(5), per_class=1), "'dog', got 1"),
        (lambda: plots.plot_augmentation(IMAGES[:2], IMAGES[None, :3]), r"shape \(1, 32, 32, 3\)"),
        (lambda: plots.plot_augmentation(IMAGES[0], IMAGES[None]), r"4 axes.*\(32, 32, 3\)"),
        (lambda: plots.plot_augmentation(IMAGES[:1] / 255, IMAGES[None]), "largest value is 1"),
        (lambda: plots.plot_augmentation(IMAGES[:1] * np.nan, IMAGES[None]), "NaN"),
        (lambda: plots.plot_range_test(bad_result(loss=[1.0])), r"loss.*\(80\), got \(1,\)"),
        (lambda: plots.plot_range_test(bad_result(lr=np.zeros(80))), "must be > 0.*got 0.0"),
        (lambda: plots.plot_range_test(sweep(), None, -1.0), "must be > 0.*got -1.0"),
        (lambda: plots.plot_schedule(ONE_CYCLE, MOMENTUM[:9], 10), r"momentum.*\(500\).*\(9,\)"),
        (lambda: plots.plot_schedule(ONE_CYCLE, MOMENTUM, 0), "at least 1, got 0"),
        (lambda: plots.plot_history([{"epoch": 1, "loss": 1.0}]), "no values for .*val_accuracy"),
        (lambda: plots.plot_history([]), "no values for"),
        (lambda: plots.plot_confusion(np.eye(3), NAMES), r"\(10, 10\), got \(3, 3\)"),
        (lambda: plots.plot_confusion(-np.eye(10), NAMES), "counts >= 0, got -1"),
        (lambda: plots.plot_per_class(100 * ONES, NAMES), "0..1, got 100.0.*divide"),
        (lambda: plots.plot_per_class(ONES, NAMES, ONES), r"ci must have shape \(10, 2\)"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
