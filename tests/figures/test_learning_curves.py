"""Accuracy by epoch of several recipes: every seed counts, what does not fit is refused."""

import numpy as np
import pytest

from utils.figures.learning_curves import plot_learning_curves

LONG = np.linspace(0.2, 0.95, 20)
SHORT = [np.linspace(0.2, end, 10) for end in (0.90, 0.91, 0.92)]


def test_mean_and_range_of_the_seeds_are_drawn_and_said():
    figure = plot_learning_curves({"short": SHORT, "pair": SHORT[:2], "long": [LONG]})
    [axes] = figure.axes
    mean = next(line for line in axes.lines if "short" in str(line.get_label()))
    assert mean.get_xdata().tolist() == list(range(1, 11))
    np.testing.assert_allclose(mean.get_ydata(), 100 * np.mean(SHORT, axis=0))
    band = axes.collections[0].get_paths()[0].vertices
    at_the_end = band[band[:, 0] == 10, 1]
    assert at_the_end.min() == pytest.approx(90) and at_the_end.max() == pytest.approx(92)
    ends = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(ends, [[[10, 91]], [[10, 90.5]], [[20, 95]]])
    finals = "short 91.00 ± 1.00 % (3 seeds); pair 90.50 % (2 seeds); long 95.00 % (1 seed)."
    assert figure.description == f"Test accuracy by epoch; after the last one: {finals}"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[::2] == ["91.00 ± 1.00 % (3 seeds)  short", "95.00 % (1 seed)  long"]


@pytest.mark.parametrize("worst", [0.1, 0.5, 0.91])
def test_every_end_is_inside_the_plot(worst):
    figure = plot_learning_curves({"bad": [[0.1, worst]], "good": [[0.2, 0.96]]}, "held-out")
    low, high = figure.axes[0].get_ylim()
    assert low == max(100 * worst - 30, 0) and high > 96
    assert figure.description.startswith("Held-out accuracy")


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ({}, "1 to 4 recipes, got 0"),
        (dict.fromkeys("abcde", SHORT), "1 to 4 recipes, got 5"),
        ({"a": []}, r"equal length, got lengths \[\]"),
        ({"a": [LONG, SHORT[0]]}, r"of a must have .* got lengths \[20, 10\]"),
        ({"a": [[]]}, r"pass one row a seed"),
        ({"a": [[-0.1]]}, r"must lie in 0..1"),
        ({"a": [[1.2]]}, r"must lie in 0..1, got \[\[1.2\]\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(accuracies, words):
    with pytest.raises(ValueError, match=words):
        plot_learning_curves(accuracies)
