"""The figures of the test set: best class first, counts where they belong."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from sample_figures import NAMES

from utils.figures.evaluation import plot_confusion, plot_per_class

ONES = np.ones(10)


def test_confusion_prints_every_count_but_zero_in_its_cell():
    matrix = np.diag(np.arange(10))
    matrix[2, 5] = 1234
    printed = {t.get_position(): t.get_text() for t in plot_confusion(matrix, NAMES).axes[0].texts}
    expected = {(k, k): str(k) for k in range(1, 10)} | {(5, 2): "1,234"}
    assert printed == expected


def luminance(color):
    """Relative luminance of an RGB color, WCAG 2.1."""
    rgb = np.array(color[:3])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_every_count_can_be_read_on_its_blue():
    """The contrast of 4.5 that WCAG 2.1 asks for, SC 1.4.3."""
    for share in (20, 50, 60, 65, 80):
        matrix = np.zeros((10, 10), int)
        matrix[:, 0], matrix[:, 1] = share, 100 - share
        axes = plot_confusion(matrix, NAMES).axes[0]
        image = axes.images[0]
        ground = luminance(image.to_rgba(image.get_array())[0, 0])
        (color,) = {t.get_color() for t in axes.texts if t.get_position() == (0, 0)}
        light, dark = sorted([luminance(to_rgb(color)), ground])[::-1]
        assert (light + 0.05) / (dark + 0.05) > 4.5, share


def test_the_best_class_stands_on_top():
    figure = plot_per_class(np.linspace(0.9, 0.8, 10), NAMES)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == list(NAMES)[::-1]  # an axis counts upwards
    assert "airplane 90.0 %, automobile 88.9 %" in figure.description


def test_equal_classes_are_not_magnified():
    low, high = plot_per_class(np.full(10, 0.5), NAMES).axes[0].get_xlim()
    assert low < 50 < high and high - low > 2


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_confusion(np.eye(3), NAMES), r"\(10, 10\), got \(3, 3\)"),
        (lambda: plot_confusion(-np.eye(10), NAMES), "counts >= 0, got -1"),
        (lambda: plot_per_class(100 * ONES, NAMES), "0..1, got 100.0.*divide"),
        (lambda: plot_per_class(ONES, NAMES, ONES), r"ci must have shape \(10, 2\)"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
