"""Every figure renders without a warning, inside its frame, small, and on white."""

import io
import itertools
import types
import warnings
from collections import namedtuple
from unittest import mock

import matplotlib
import matplotlib.style
import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from utils import plots

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Suggestions = namedtuple("Suggestions", "steep minimum valley slide")
Curves = namedtuple("Curves", "fractions insertion deletion insertion_area deletion_area")
Randomization = namedtuple("Randomization", "layers correlations")
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 3), dtype="uint8")
OVERLAYS = RNG.integers(0, 256, (40, 64, 64, 3), dtype="uint8")
LABELS = np.arange(40) % 10
STEPS = np.arange(500)
ONE_CYCLE = np.interp(STEPS, [0, 149, 499], [0.03, 0.8, 1e-6])
MOMENTUM = np.interp(STEPS, [0, 149, 499], [0.95, 0.85, 0.95])


def dataset(count=40):
    return types.SimpleNamespace(x_train=IMAGES[:count], y_train=LABELS[:count], class_names=NAMES)


def sweep(stopped_because="completed: all learning rates were tried."):
    lr = np.geomspace(1e-4, 10, 80)
    smoothed = 2.3 - np.exp(-(np.log(lr / 0.5) ** 2) / 4) + np.where(lr > 2, (lr - 2) ** 2, 0)
    loss = smoothed + RNG.normal(0, 0.1, 80)
    return types.SimpleNamespace(
        lr=lr, loss=loss, smoothed=smoothed, stopped_because=stopped_because
    )


def history(epochs):
    x = np.arange(1, epochs + 1)
    return [
        {
            "epoch": n,
            "loss": 2 / n,
            "accuracy": 1 - 0.6 / n,
            "val_loss": 3 / n,
            "momentum_last": None,
        }
        | {"val_accuracy": 1 - 0.8 / n}
        for n in x
    ]


def captions(count):
    return [(NAMES[i % 10], NAMES[(i + (i % 3 == 0)) % 10], 0.55 + i / 100) for i in range(count)]


def curves():
    fractions = np.linspace(0, 1, 9)
    values = np.clip(RNG.normal(0.5, 0.3, (20, 9)), 0, 1)
    return Curves(fractions, values, 1 - values, values.mean(1), 1 - values.mean(1))


LAYERS = (
    "logits",
    "stage3_block5_3_conv",
    "stage2_block6_3_conv",
    "stage1_block3_1_bn",
    "stem_conv",
)
MAPS = np.maximum(RNG.normal(size=(8, 8, 12)), 0)
WEIGHTS = RNG.normal(size=12)
LONG = (
    "diverged: at learning rate 4.2 the smoothed loss 9.31 exceeds 4 times its lowest value 2.11."
)
SAME = Suggestions(0.1, 0.1, 0.1, 0.1)
FIGURES = {
    "class grid": lambda: plots.plot_class_grid(dataset(), per_class=3),
    "augmentation": lambda: plots.plot_augmentation(
        IMAGES[:3], RNG.uniform(-20, 290, (3, 7, 32, 32, 3))
    ),
    "range test": lambda: plots.plot_range_test(sweep(LONG), Suggestions(0.1, 0.05, 0.2, 1.3), 0.3),
    "range test, one place": lambda: plots.plot_range_test(sweep(), SAME, 0.1),
    "range test, right edge": lambda: plots.plot_range_test(
        sweep(), Suggestions(10, 9, 9.5, float("nan")), 10
    ),
    "range test, bare": lambda: plots.plot_range_test(sweep()),
    "schedule": lambda: plots.plot_schedule(ONE_CYCLE, MOMENTUM, 10),
    "schedule of 2019": lambda: plots.plot_schedule(
        np.repeat(np.interp(range(50), [0, 23, 46, 49], [0.05, 1, 0.05, 0.05]), 10),
        np.full(500, 0.95),
        10,
    ),
    "history": lambda: plots.plot_history(history(50), history(50)),
    "short history": lambda: plots.plot_history(history(1)),
    "confusion": lambda: plots.plot_confusion(np.diag([900] * 10) + 7, NAMES),
    "per class": lambda: plots.plot_per_class(
        np.linspace(0.8, 1, 10), NAMES, np.stack([np.linspace(0.78, 0.97, 10), np.ones(10)], 1)
    ),
    "per class, no interval": lambda: plots.plot_per_class(np.full(10, 0.5), NAMES),
    "cam steps": lambda: plots.plot_cam_steps(
        IMAGES[0], MAPS, WEIGHTS, MAPS @ WEIGHTS, OVERLAYS[0]
    ),
    "cam steps, no evidence": lambda: plots.plot_cam_steps(
        IMAGES[0], MAPS, np.zeros(12), np.zeros((8, 8)), OVERLAYS[0]
    ),
    "cam gallery": lambda: plots.plot_cam_gallery(IMAGES[:20], OVERLAYS[:20], captions(20), 4),
    "cam gallery, five": lambda: plots.plot_cam_gallery(IMAGES[:7], OVERLAYS[:7], captions(7), 5),
    "cam of a photo": lambda: plots.plot_cam_gallery(
        IMAGES[:1], OVERLAYS[:1], [plots.Caption(None, "dog", 0.7)], 2
    ),
    "cam depth": lambda: plots.plot_cam_depth(IMAGES[0], OVERLAYS[:5], LAYERS),
    "faithfulness": lambda: plots.plot_faithfulness(
        {"Grad-CAM": curves(), "random": curves(), "center": curves()},
        Randomization(LAYERS, RNG.uniform(-0.5, 1, (5, 20))),
    ),
    "faithfulness, no cascade": lambda: plots.plot_faithfulness({"Grad-CAM": curves()}),
}


@pytest.fixture(scope="module", params=list(FIGURES))
def figure(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = FIGURES[request.param]()
        png, jpeg = figure._repr_png_(), figure._repr_jpeg_()
    assert (png is None) != (jpeg is None), "a notebook must get one picture, not two"
    figure.data, metadata = png or jpeg
    assert metadata == {"alt": figure.description} and len(figure.description) > 20
    return figure


def text_boxes(figure):
    """(text, box in pixels) of every text that is really drawn."""
    drawn, draw = [], matplotlib.text.Text.draw

    def note(text, renderer):
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))

    with mock.patch.object(matplotlib.text.Text, "draw", note):
        plots._render(figure)
    assert drawn
    return drawn


def overlapping(boxes):
    return [
        (a, b)
        for (a, box_a), (b, box_b) in itertools.combinations(boxes, 2)
        if box_a.padded(-1).overlaps(box_b.padded(-1))
    ]


def test_picture_fits_the_page_and_the_notebook(figure):
    picture = Image.open(io.BytesIO(figure.data))
    assert picture.width == 900 and 150 <= picture.height <= 1000
    # Noise, as these images are, is the worst case: photographs take about half of it.
    assert len(figure.data) < (450_000 if figure.photographic else 60_000)


def test_background_is_white(figure):
    picture = np.asarray(Image.open(io.BytesIO(figure.data)).convert("RGB"))
    corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all()


def test_no_text_is_cut_off(figure):
    frame = figure.bbox.padded(0.5)
    for text, box in text_boxes(figure):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1, f"{text!r} is cut: {box} in {frame}"
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1, f"{text!r} is cut: {box} in {frame}"


def test_no_text_overlaps_another(figure):
    assert overlapping(text_boxes(figure)) == []


def test_the_overlap_check_can_fail():
    figure = plots.plot_range_test(sweep(), SAME, 0.1)
    figure.axes[0].annotate(
        "steep", (0.1, 1), (9, 12), figure.axes[0].get_xaxis_transform(), "offset points"
    )
    assert overlapping(text_boxes(figure))


def test_figures_ignore_the_readers_style(tmp_path):
    plain = plots.plot_history(history(5))._repr_png_()[0]
    with matplotlib.style.context("dark_background"):
        figure = plots.plot_history(history(5))
        plots.save_png(figure, tmp_path / "dark.png")
    dark = np.asarray(Image.open(tmp_path / "dark.png").convert("RGB"))
    assert (dark[0, 0] == 255).all()
    shown = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    assert np.abs(dark.astype(int) - shown).mean() < 1  # the notebook's picture has a palette


def test_pyplot_holds_no_figure():
    from matplotlib import pyplot

    pyplot.close("all")
    plots.plot_history(history(5))
    assert pyplot.get_fignums() == []


def test_a_notebook_shows_each_figure_exactly_once():
    history_cell = "rows = [dict(epoch=1, loss=1, accuracy=0.5, val_loss=1, val_accuracy=0.5)]\n"
    image_cell = "import numpy as np\nimage = np.full((32, 32, 3), 200, 'uint8')\n"
    sources = [
        "from utils import plots\n" + history_cell + "plots.plot_history(rows)",
        image_cell + "plots.plot_cam_depth(image, [image], ['last_relu'])",
        "import matplotlib.pyplot\nfigure = plots.plot_history(rows)",
        "figure",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    kinds = [
        [kind for out in cell.outputs for kind in out.get("data", {}) if kind.startswith("image/")]
        for cell in notebook.cells
    ]
    assert kinds == [["image/png"], ["image/jpeg"], [], ["image/png"]]
    assert "Accuracy" in notebook.cells[0].outputs[0].metadata["image/png"]["alt"]


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


def test_gallery_marks_what_is_wrong_without_color_alone():
    figure = plots.plot_cam_gallery(
        IMAGES[:2], OVERLAYS[:2], [("cat", "cat", 0.9), ("cat", "dog", 0.6)], 2
    )
    right, wrong = figure.axes[:2]
    assert "\u2713 cat 90 %" in right.get_title(loc="left") and not right.patches
    assert "\u2717 dog 60 %\n    truth: cat" in wrong.get_title(loc="left") and wrong.patches


def bad_result(**changes):
    return types.SimpleNamespace(**{**vars(sweep()), **changes})


ZEROS, ONES = np.zeros((32, 32, 3), "uint8"), np.ones(10)


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
        (lambda: plots.plot_cam_steps(ZEROS, MAPS, ONES, MAPS[..., 0], ZEROS), r"weights.*\(12\)"),
        (lambda: plots.plot_cam_steps(ZEROS, MAPS, WEIGHTS, MAPS, ZEROS), r"raw_map.*\(8, 8\)"),
        (
            lambda: plots.plot_cam_steps(ZEROS, MAPS[..., :2], ONES[:2], MAPS[..., 0], ZEROS),
            "3 channels or more, got 2",
        ),
        (lambda: plots.plot_cam_gallery([], [], [], 4), "got 0 images, 0 overlays"),
        (lambda: plots.plot_cam_gallery(IMAGES[:2], OVERLAYS[:1], captions(2)), "1 overlays"),
        (lambda: plots.plot_cam_gallery([ZEROS], [ZEROS], [("cat", "cat", 87)]), "0..1, got 87"),
        (lambda: plots.plot_cam_depth(ZEROS, [ZEROS], []), "1 overlays and 0 names"),
        (lambda: plots.plot_faithfulness({}), "1 to 4 methods, got 0"),
        (
            lambda: plots.plot_faithfulness({"x": curves()._replace(deletion=np.ones((3, 2)))}),
            r"deletion of x must have shape \(any, 9\)",
        ),
    ],
)
def test_wrong_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
