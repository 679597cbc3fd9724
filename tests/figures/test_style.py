"""Every figure renders without a warning, inside its frame, small, and on white."""

import io
import itertools
import warnings
from unittest import mock

import matplotlib
import matplotlib.style
import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image
from sample_figures import FIGURES, SAME, history, sweep

from utils.figures import style
from utils.figures.history import plot_history
from utils.figures.range_test import plot_range_test


@pytest.fixture(scope="module", params=list(FIGURES))
def figure(request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # An old Matplotlib calls a new pyparsing by names that are going away.
        warnings.simplefilter("ignore", DeprecationWarning)
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
        style._render(figure)
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
    figure = plot_range_test(sweep(), SAME, 0.1)
    figure.axes[0].annotate(
        "steep", (0.1, 1), (9, 12), figure.axes[0].get_xaxis_transform(), "offset points"
    )
    assert overlapping(text_boxes(figure))


def test_figures_ignore_the_readers_style(tmp_path):
    plain = plot_history(history(5))._repr_png_()[0]
    with matplotlib.style.context("dark_background"):
        figure = plot_history(history(5))
        style.save_png(figure, tmp_path / "dark.png")
    dark = np.asarray(Image.open(tmp_path / "dark.png").convert("RGB"))
    assert (dark[0, 0] == 255).all()
    shown = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    assert np.abs(dark.astype(int) - shown).mean() < 1  # the notebook's picture has a palette


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    """A limit on the size of files stands in for the full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    path = tmp_path / "figure.png"
    style.save_png(plot_history(history(5)), path)
    old = path.read_bytes()
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, hard))
    try:
        with pytest.raises(OSError, match="cannot write .*figure.png: .*is kept. Make room"):
            style.save_png(plot_history(history(6)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]
    style.save_png(plot_history(history(6)), path)  # after room is made
    assert path.read_bytes() != old


def test_pyplot_holds_no_figure():
    from matplotlib import pyplot

    pyplot.close("all")
    plot_history(history(5))
    assert pyplot.get_fignums() == []


def test_a_notebook_shows_each_figure_exactly_once():
    history_cell = "rows = [dict(epoch=1, loss=1, accuracy=0.5, val_loss=1, val_accuracy=0.5)]\n"
    image_cell = "import numpy as np\nimage = np.full((32, 32, 3), 200, 'uint8')\n"
    sources = [
        "from utils.figures.history import plot_history\n" + history_cell + "plot_history(rows)",
        "from utils.figures.grad_cam import plot_cam_depth\n"
        + image_cell
        + "plot_cam_depth(image, [image], ['last_relu'])",
        "import matplotlib.pyplot\nfigure = plot_history(rows)",
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
