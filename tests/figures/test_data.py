"""Training images: each class in its column, what does not fit refused."""

import numpy as np
import pytest
from sample_figures import IMAGES, LABELS, NAMES

from utils.figures.data import plot_augmentation, plot_class_grid


def test_class_grid_shows_each_class_in_its_column():
    colors = np.linspace(20, 240, 10).astype("uint8")
    images = np.broadcast_to(colors[LABELS][:, None, None, None], (40, 32, 32, 3))
    axes = plot_class_grid(images, LABELS, NAMES, per_class=4).axes[0]
    shown = axes.images[0].get_array()
    assert shown.shape == (4 * 34 - 2, 10 * 34 - 2, 3)
    assert [int(shown[70, 34 * k + 16, 0]) for k in range(10)] == colors.tolist()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(NAMES)
    np.testing.assert_array_equal(axes.get_xticks(), 34 * np.arange(10) + 15.5)


def test_of_a_small_class_all_images_set_the_number_of_all():
    figure = plot_class_grid(IMAGES[:35], LABELS[:35], NAMES, per_class=8)
    fewest = np.bincount(LABELS[:35]).min()
    assert figure.axes[0].images[0].get_array().shape[0] == fewest * 34 - 2


def test_each_original_stands_left_of_its_draws():
    gray = np.broadcast_to(np.uint8([40, 80])[:, None, None, None], (2, 32, 32, 3))
    draws = np.stack([gray + k for k in (1, 2, 3)], axis=1)
    shown = plot_augmentation(gray, draws).axes[0].images[0].get_array()
    middle = shown[[16, 34 + 16], :, 0]
    assert shown.shape == (2 * 34 - 2, 32 + 12 + 3 * 34 - 2, 3)
    np.testing.assert_array_equal(
        middle[:, [16, 60, 94, 128]], [[40, 41, 42, 43], [80, 81, 82, 83]]
    )
    assert (middle[:, [34, 42, 76]] == 255).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_class_grid(IMAGES, LABELS, NAMES, 0), "at least 1; got 0 and 4 of airplane"),
        (lambda: plot_class_grid(IMAGES[:5], LABELS[:5], NAMES, 1), "needs an image.*0 of dog"),
        (lambda: plot_class_grid(IMAGES, LABELS[:5], NAMES), r"labels.*\(40\), got \(5,\)"),
        (lambda: plot_augmentation(IMAGES[:2], IMAGES[None, :3]), r"shape \(1, 32, 32, 3\)"),
        (lambda: plot_augmentation(IMAGES[0], IMAGES[None]), r"4 axes.*\(32, 32, 3\)"),
        (lambda: plot_augmentation(IMAGES[:1] / 255, IMAGES[None]), "largest value is 1"),
        (lambda: plot_augmentation(IMAGES[:1] * np.nan, IMAGES[None]), "NaN"),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
