"""What the figures of the notebook share: their class, style, colors, pictures and checks.

How a notebook shows a figure exactly once: a `pyplot` figure that is also a cell's last
expression is shown twice (once by the inline backend, which displays every open pyplot figure,
and once as the cell's value). These figures are therefore made without pyplot; nothing is ever
"open", nothing needs closing, and the `Figure` below tells Jupyter itself how to draw it. End
the cell with the call, `plot_history(rows)`, or pass the figure to `display`.

Every figure is 9 inches (900 pixels) wide, the width of a page on GitHub, and paints its own
white background, since a transparent one is unreadable in dark mode. The colors are those of
Okabe and Ito (https://jfly.uni-koeln.de/color/), which color-blind readers can tell apart; no
meaning is carried by color alone.

A notebook stores its figures as text, a third longer than their bytes. So that all of them stay
below 1.5 MB together, charts go in as PNG with a palette, and photographs, which lose their
colors in a palette and are five times larger without, as JPEG.
"""

import io

import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from utils.atomic import replacing

BLACK, GRAY = "#000000", "#8c8c8c"
ORANGE, SKY, GREEN, BLUE = "#e69f00", "#56b4e9", "#009e73", "#0072b2"
VERMILION, PURPLE = "#d55e00", "#cc79a7"
WIDTH = 9.0  # inches
STYLE = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "black",
    "axes.labelcolor": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "axes.edgecolor": "#666666",
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 10.0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
# For README: its figures are read on a phone, too, which shows them a third as wide.
LARGE = STYLE | {"font.size": 14, "axes.titlesize": 15, "axes.labelsize": 14}
LARGE |= {"xtick.labelsize": 13.5, "ytick.labelsize": 13.5, "legend.fontsize": 13.5}


class Figure(matplotlib.figure.Figure):
    """A figure outside pyplot that Jupyter shows once, with an alternative text.

    Attributes:
        description: str, what the figure shows, for readers who cannot see it.
        photographic: bool, whether a notebook stores it as JPEG instead of PNG.
    """

    description = ""
    photographic = False

    def _repr_png_(self):
        if self.photographic:
            return None
        palette = _render(self).quantize(256, method=Image.Quantize.MAXCOVERAGE)
        return _encode(palette, "png", optimize=True), {"alt": self.description}

    def _repr_jpeg_(self):
        if not self.photographic:
            return None
        # Full color resolution: the captions are part of the picture and must stay sharp.
        data = _encode(_render(self), "jpeg", quality=80, subsampling=0, optimize=True)
        return data, {"alt": self.description}


def _render(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def save_png(figure, path, **texts):
    """Writes a figure to a PNG file, pixel for pixel as drawn, with its alternative text.

    Args:
        figure: a `Figure`.
        path: file name or `pathlib.Path`; written whole or not at all.
        **texts: more texts to keep in the file, by keyword; `read_texts` returns them.

    Raises:
        OSError: when the file cannot be written, naming it and the reason.
    """
    notes = PngInfo()
    for keyword, text in ({"Description": figure.description} | texts).items():
        notes.add_itxt(keyword, text)
    content = _encode(_render(figure), "png", optimize=True, pnginfo=notes)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_texts(path):
    """The texts that a PNG file keeps.

    Args:
        path: file name or `pathlib.Path`.

    Returns:
        Dict of keyword to text; that of `save_png` has `Description`, the alternative text. Empty
        where there is no file or no picture in it.
    """
    try:
        with Image.open(path) as image:
            image.load()  # texts may stand behind the pixels
            return dict(getattr(image, "text", {}))
    except (OSError, SyntaxError, ValueError):  # what Pillow raises on a file that is torn
        return {}


def figure_svg(figure):
    """A figure as SVG, for a page that is read at any size.

    Letters are drawn as paths, so that it looks the same without its font. The text holds no date
    and no version, and its identifiers repeat: drawn again, it is the same.

    Args:
        figure: a `Figure`.

    Returns:
        str, the content of the file.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "figure"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def make_figure(height, description, rows=1, columns=1, *, photographic=False, **kwargs):
    """Makes a figure of the page's width with its panels. To be called under `STYLE`.

    Args:
        height: inches.
        description: str, the alternative text.
        rows, columns: int >= 1, number of panels below and beside each other.
        photographic: bool, whether a notebook stores it as JPEG instead of PNG.
        **kwargs: for `matplotlib.figure.Figure.subplots`, such as sharex.

    Returns:
        The `Figure`, and its Matplotlib axes: a single one or, for several panels, an array.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.description, figure.photographic = description, photographic
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    return figure, figure.subplots(rows, columns, **kwargs)


def add_grid(axes, axis="both"):
    """Draws light grid lines behind the data.

    Args:
        axes: Matplotlib axes.
        axis: "both", "x" or "y", the ticks that get a line.
    """
    axes.grid(True, axis=axis, color="#e3e3e3", linewidth=0.8)


def show_image(axes, image, title="", **kwargs):
    """Shows an image without ticks, with its title above in the middle.

    Args:
        axes: Matplotlib axes.
        image: (h, w) or (h, w, 3), as `imshow` takes it.
        title: str.
        **kwargs: for `matplotlib.axes.Axes.imshow`.

    Returns:
        The Matplotlib image, for a color bar.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, loc="center")
    return axes.imshow(image, **kwargs)


def rgb_pixels(images, name, ndim):
    """Checks RGB images and returns them as uint8; floats in 0..255 are rounded and clipped.

    Args:
        images: (..., h, w, 3), uint8 or float pixels in 0..255.
        name: str, how an error calls them.
        ndim: int >= 3, the number of axes they must have.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: on another shape, NaN or infinity, or pixels scaled to 0..1.
    """
    images = np.asarray(images)
    if images.ndim != ndim or images.shape[-1] != 3 or 0 in images.shape:
        axes = ("..., " if ndim > 3 else "") + "height, width, 3"
        raise ValueError(
            f"{name} must be RGB with {ndim} axes ({axes}), got shape {images.shape}; "
            f"stack the images with np.stack and keep the color channels last."
        )
    if images.dtype == np.uint8:
        return images
    if not np.isfinite(images).all():
        raise ValueError(f"{name} holds NaN or infinity; pixels must be finite, in 0..255.")
    if images.max() <= 1:
        raise ValueError(
            f"{name} must be pixels in 0..255, but its largest value is {images.max():.3g}; "
            f"multiply by 255 or undo the normalization first."
        )
    return np.clip(np.rint(images), 0, 255).astype("uint8")


def check_shape(array, shape, name, remedy):
    """Checks the shape of an array.

    Args:
        array: array-like.
        shape: tuple of lengths, where None stands for any length >= 1.
        name: str, how an error calls the array.
        remedy: str, what an error tells the caller to do.

    Returns:
        The NumPy array.

    Raises:
        ValueError: when the shape is another one.
    """
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(
        got == want if want is not None else got >= 1
        for got, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}; {remedy}.")
    return array
