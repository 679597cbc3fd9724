"""The figure at the head of README, and the strip of examples below it."""

import numpy as np
import pytest
from PIL import Image
from sample_figures import IMAGES, OVERLAYS

from utils.figures.headline import plot_examples, plot_headline
from utils.figures.style import read_texts, save_png

RUNS = {"ours": [0.5, 0.92], "2019": [0.3, 0.9024], "again": [0.31, 0.9]}


def test_every_run_is_drawn_under_its_name_with_its_last_accuracy():
    figure = plot_headline(RUNS)
    for axes in figure.axes:
        for line, values in zip(axes.lines, RUNS.values(), strict=True):
            np.testing.assert_allclose(line.get_ydata(), 100 * np.array(values))
            np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["92.00 %  ours", "90.24 %  2019", "90.00 %  again"]
    assert "ours 92.00 %; 2019 90.24 %; again 90.00 %" in figure.description
    looks = {(line.get_linestyle(), line.get_linewidth()) for line in axes.lines}
    assert len(looks) == 3, "told apart without color"


def test_the_second_panel_shows_the_last_epochs_larger():
    figure = plot_headline({"ours": np.linspace(0.2, 0.94, 50), "2019": np.linspace(0.1, 0.9, 48)})
    whole, end = figure.axes
    assert whole.get_ylim() == (10, 100) and end.get_xlim() == pytest.approx((44.7, 50.3))
    shown = 100 * np.linspace(0.1, 0.9, 48)[44], 94
    assert end.get_ylim() == pytest.approx((shown[0] - 0.5, shown[1] + 0.5))


def test_the_strip_stands_below_pixel_for_pixel(tmp_path):
    strip = np.random.default_rng(0).integers(0, 256, (120, 900, 3), dtype="uint8")
    figure = plot_headline(RUNS, strip, "a strip")
    save_png(figure, tmp_path / "a.png", Source="x")
    assert read_texts(tmp_path / "a.png") == {"Description": figure.description, "Source": "x"}
    assert figure.description.endswith("a strip")
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels[-120:], strip)
    assert all(axes.get_tightbbox().y0 >= 120 for axes in figure.axes), "nothing is covered"


def test_examples_name_each_map():
    groups = [
        ("\u2713 right: cat, 97 % sure", [("image", IMAGES[0]), ("for cat", OVERLAYS[0])]),
        (
            "\u2717 wrong: dog, 99 % sure; truth: cat",
            [("image", IMAGES[1]), ("for dog", OVERLAYS[1]), ("for cat", OVERLAYS[2])],
        ),
    ]
    figure = plot_examples(groups)
    assert "wrong: dog, 99 % sure; truth: cat; heatmaps for dog and for cat." in figure.description
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("image") == 2 and "for dog" in texts


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot_headline({}), "1 to 3 runs, got 0"),
        (lambda: plot_headline({name: [0.5] for name in "abcd"}), "got 4"),
        (lambda: plot_headline({"a": [50.0]}), "0..1"),
        (lambda: plot_headline({"a": []}), "one for each epoch"),
        (lambda: plot_headline({"a": [0.5]}, np.zeros((9, 8, 3), "uint8")), "900 pixels wide"),
        (lambda: plot_examples([]), "1 to 6 pictures, got 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_file_without_texts_has_none(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert read_texts(tmp_path / "torn.png") == read_texts(tmp_path / "missing.png") == {}
