"""The figure of a training: every run named, in percent, other runs behind."""

import numpy as np
import pytest
from sample_figures import history

from utils.figures.history import plot_history


def test_takes_rows_and_columns():
    rows = history(4)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    a, b = (plot_history(data).axes[0].lines[0].get_xydata() for data in (rows, columns))
    np.testing.assert_array_equal(a, b)


def test_accuracy_is_drawn_of_every_run_and_loss_of_this_one():
    others = {"2019 submission": history(50), "its reproduction": history(30)}
    figure = plot_history(history(20), others)
    expected = ["test images", "training images"]
    expected += [f"{name}, {images}" for name in others for images in ("test", "training")]
    accuracy, loss = figure.axes
    assert [line.get_label() for line in accuracy.lines] == expected
    assert [line.get_label() for line in loss.lines] == expected[:2]
    assert [len(line.get_xdata()) for line in accuracy.lines] == [20, 20, 50, 50, 30, 30]
    repeated = [100 * row["val_accuracy"] for row in history(30)]
    np.testing.assert_allclose(accuracy.lines[4].get_ydata(), repeated)
    ours = [row["val_loss"] for row in history(20)]
    np.testing.assert_allclose(loss.lines[0].get_ydata(), ours)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == expected
    assert "this run, 96.00 %; 2019 submission, 98.40 %; its reproduction" in figure.description


def test_runs_are_told_apart_without_color():
    figure = plot_history(history(50), {"one": history(50), "two": history(50)})
    looks = {
        (line.get_marker(), line.get_linestyle(), line.get_linewidth())
        for line in figure.axes[0].lines
    }
    assert len(looks) == len(figure.axes[0].lines) == 6
    this_run, *rest = figure.axes[0].lines[::2]
    assert all(this_run.get_zorder() > line.get_zorder() for line in rest), "it lies in front"


def test_a_single_epoch_stands_between_whole_epochs():
    axes = plot_history(history(1)).axes[0]
    assert axes.get_xlim() == (0, 2) and all(tick == int(tick) for tick in axes.get_xticks())


def test_the_loss_axis_starts_at_zero_and_holds_every_finite_loss():
    rows = history(4)
    rows[0]["val_loss"] = float("nan")
    assert plot_history(rows).axes[1].get_ylim() == (0, pytest.approx(1.05 * 2))
    diverged = [{**row, "loss": float("nan"), "val_loss": float("nan")} for row in rows]
    assert plot_history(diverged).axes[1].get_ylim()[0] == 0


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_history([{"epoch": 1, "loss": 1.0}]), "no values for .*val_accuracy"),
        (lambda: plot_history([]), "history has no values for"),
        (lambda: plot_history(history(2), {"2019": []}), "history of '2019' has no values"),
        (lambda: plot_history(history(2), history(2)), "{'2019 submission': rows}, got list of 2"),
        (lambda: plot_history(history(2), dict.fromkeys("abc", history(2))), "at most 2.*of 3"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
