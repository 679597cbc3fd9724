"""The figures of the notebook: one function each, from plain arrays to a Matplotlib figure.

How a notebook shows a figure exactly once: a `pyplot` figure that is also a cell's last
expression is shown twice (once by the inline backend, which displays every open pyplot figure,
and once as the cell's value). These figures are therefore made without pyplot; nothing is ever
"open", nothing needs closing, and the `Figure` below tells Jupyter itself how to draw it. End
the cell with the call, `plots.plot_history(rows)`, or pass the figure to `display`.

Every figure is 9 inches (900 pixels) wide, the width of a page on GitHub, and paints its own
white background, since a transparent one is unreadable in dark mode. The colors are those of
Okabe and Ito (https://jfly.uni-koeln.de/color/), which color-blind readers can tell apart; no
meaning is carried by color alone.

A notebook stores its figures as text, a third longer than their bytes. So that all of them stay
below 1.5 MB together, charts go in as PNG with a palette, and photographs, which lose their
colors in a palette and are five times larger without, as JPEG.
"""

import io
import textwrap
from itertools import pairwise
from typing import NamedTuple

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation
from PIL import Image

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


def save_png(figure, path):
    """Writes a figure to a PNG file, pixel for pixel as drawn.

    Args:
        figure: one of this module's figures.
        path: file name or `pathlib.Path`.
    """
    _render(figure).save(path, "png", optimize=True)


def _figure(height, description, rows=1, columns=1, *, photographic=False, **kwargs):
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.description, figure.photographic = description, photographic
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    return figure, figure.subplots(rows, columns, **kwargs)


def _grid(axes, axis="both"):
    axes.grid(True, axis=axis, color="#e3e3e3", linewidth=0.8)


def _show(axes, image, title="", **kwargs):
    """Shows an image without ticks, with its title above in the middle."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, loc="center")
    return axes.imshow(image, **kwargs)


def _pixels(images, name, ndim):
    """Checks RGB images and returns them as uint8; floats in 0..255 are rounded and clipped."""
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


def _check_shape(array, shape, name, remedy):
    """Raises ValueError unless `array` has `shape`, where None stands for any length >= 1."""
    array = np.asarray(array)
    fits = array.ndim == len(shape) and all(
        got == want if want is not None else got >= 1
        for got, want in zip(array.shape, shape, strict=False)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}; {remedy}.")
    return array


def _mosaic(images, gap=2):
    """Tiles images (rows, columns, h, w, 3) on white, `gap` pixels apart."""
    rows, columns, height, width, _ = images.shape
    padded = np.full((rows, columns, height + gap, width + gap, 3), 255, "uint8")
    padded[:, :, :height, :width] = images
    tiled = padded.transpose(0, 2, 1, 3, 4).reshape(
        rows * (height + gap), columns * (width + gap), 3
    )
    return tiled[: -gap or None, : -gap or None]


@matplotlib.rc_context(STYLE)
def plot_class_grid(dataset, per_class=8, seed=0):
    """Draws training images of every class, one class a column.

    Args:
        dataset: a `utils.data.Dataset` (or anything with its x_train uint8 (N, h, w, 3), y_train
            and class_names).
        per_class: int >= 1, images of each class.
        seed: seed of the choice.

    Returns:
        The figure.

    Raises:
        ValueError: when a class has fewer than `per_class` training images.
    """
    images, labels = _pixels(dataset.x_train, "x_train", 4), np.asarray(dataset.y_train)
    rng = np.random.default_rng(seed)
    columns = []
    for label, name in enumerate(dataset.class_names):
        members = np.flatnonzero(labels == label)
        if not 1 <= per_class <= len(members):
            raise ValueError(
                f"per_class must be from 1 to {len(members)}, the training images of class "
                f"{name!r}, got {per_class}."
            )
        columns.append(images[rng.choice(members, per_class, replace=False)])
    mosaic = _mosaic(np.stack(columns, axis=1))
    width = images.shape[2]
    figure, axes = _figure(
        WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.3,
        f"{per_class} training images of each class: {', '.join(dataset.class_names)}",
        photographic=True,
    )
    _show(axes, mosaic)
    centers = np.arange(len(columns)) * (width + 2) + width / 2 - 0.5
    axes.set_xticks(centers, dataset.class_names)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=2)
    return figure


@matplotlib.rc_context(STYLE)
def plot_augmentation(before, after):
    """Draws a few images (left column) beside several augmented draws of each.

    Args:
        before: (N, h, w, 3), uint8 or float pixels in 0..255.
        after: (N, draws, h, w, 3), the same; floats outside 0..255 are clipped, as on a screen.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit each other, or on NaN.
    """
    before, after = _pixels(before, "before", 4), _pixels(after, "after", 5)
    count, draws, height, width, _ = after.shape
    _check_shape(before, (count, height, width, 3), "before", "one original for each row of after")
    blank = np.full((count, 1, height, width // 4, 3), 255, "uint8")
    strips = [_mosaic(part) for part in (before[:, None], blank, after)]
    gaps = np.full((len(strips[0]), 2, 3), 255, "uint8")
    mosaic = np.concatenate([strips[0], gaps, strips[1], gaps, strips[2]], axis=1)
    figure, axes = _figure(
        WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.3,
        f"{count} images and {draws} augmented draws of each",
        photographic=True,
    )
    _show(axes, mosaic)
    left = width + width // 4 + 4
    axes.set_xticks(
        [width / 2 - 0.5, left + (draws * (width + 2) - 2) / 2 - 0.5],
        ["original", f"{draws} augmented draws, as the network sees them in training"],
    )
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, pad=2)
    return figure


@matplotlib.rc_context(STYLE)
def plot_range_test(result, suggestions=None, peak=None):
    """Draws a learning-rate range test: raw and smoothed loss against the learning rate.

    The labels stand above the plot, one a row and the smallest learning rate on top, so that no
    label can meet another label or another label's line.

    Args:
        result: a `utils.lr_range.RangeTestResult`, or anything with its lr (> 0), loss, smoothed
            (equal lengths) and stopped_because.
        suggestions: named tuple of learning rates (steep, minimum, valley, slide), or None; a
            suggestion that is None or NaN is left out.
        peak: the learning rate chosen as peak of the schedule, or None.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal lengths or on a learning rate that is not positive.
    """
    lr = _check_shape(result.lr, (None,), "lr", "pass the learning rate of every step")
    loss = _check_shape(result.loss, lr.shape, "loss", "one loss for each learning rate")
    smoothed = _check_shape(result.smoothed, lr.shape, "smoothed", "one value for each lr")
    marks = dict(suggestions._asdict()) if suggestions is not None else {}
    marks["chosen peak"] = peak
    marks = {name: x for name, x in marks.items() if x is not None and np.isfinite(x)}
    if min([lr.min(), *marks.values()]) <= 0:
        raise ValueError(
            f"Learning rates must be > 0 to be drawn on a logarithmic axis, got "
            f"{min([lr.min(), *marks.values()])}; start the range test above 0."
        )
    figure, axes = _figure(
        3.8 + 0.22 * len(marks),
        "Loss against learning rate in the range test, with the suggested learning rates",
    )
    axes.plot(lr, loss, color=GRAY, linewidth=0.9, alpha=0.8, label="loss of each batch")
    axes.plot(lr, smoothed, color=BLUE, linewidth=2.2, label="smoothed")
    axes.set_xscale("log")
    finite = smoothed[np.isfinite(smoothed)]
    if finite.size:
        low, start = finite.min(), finite[: max(1, len(finite) // 10)].max()
        room = max(start - low, 0.1)
        axes.set_ylim(min(low, np.nanmin(loss)) - 0.1 * room, start + 0.6 * room)
    ordered = sorted(marks.items(), key=lambda item: item[1])
    styles = {"steep": ("v", GREEN), "minimum": ("s", PURPLE), "valley": ("D", ORANGE)}
    styles |= {"slide": ("^", SKY), "chosen peak": ("*", VERMILION)}
    for row, (name, x) in enumerate(ordered):
        marker, color = styles.get(name, ("o", BLACK))
        height = 12 + 16 * (len(ordered) - 1 - row)  # points above the plot
        edge = axes.get_xaxis_transform()
        raised = edge + ScaledTranslation(0, height / 72, figure.dpi_scale_trans)
        line = {"arrowstyle": "-", "color": color, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x, 0), (x, 1), edge, raised, arrowprops=line)
        axes.plot(
            x,
            1,
            marker,
            color=color,
            markersize=11 if marker == "*" else 8,
            transform=raised,
            markeredgecolor=BLACK,
            markeredgewidth=0.6,
            clip_on=False,
        )
        weight = "bold" if name == "chosen peak" else "normal"
        axes.annotate(
            f"{name}  {x:.3g}",
            (x, 1),
            (9, height),
            edge,
            "offset points",
            va="center",
            weight=weight,
        )
    # Room on the right for the label of the largest learning rate.
    right = max([lr.max(), *marks.values()])
    axes.set_xlim(min([lr.min(), *marks.values()]) / 1.1, right * 2)
    axes.set_xlabel("learning rate (logarithmic)")
    axes.set_ylabel("training loss")
    _grid(axes)
    axes.legend(loc="lower left")
    title = f"Range test, {len(lr)} steps; {result.stopped_because}"
    figure.suptitle(textwrap.fill(title, 105), x=0.01, ha="left", fontsize=10.5)
    return figure


def _turning_points(values, plateau):
    """Indices where a curve starts, turns, enters or leaves a flat part, and ends."""
    change = np.diff(values)
    sign = np.sign(np.where(np.abs(change) > 1e-12 * np.ptp(values), change, 0.0))
    bounds = np.flatnonzero(np.diff(sign)) + 1
    runs = np.split(np.arange(len(sign)), bounds)
    # A schedule that moves once an epoch is flat within each epoch: that is no turning point.
    runs = [run for run in runs if sign[run[0]] or len(run) >= plateau]
    knots = [0, len(values) - 1]
    for last, run in pairwise(runs):
        if sign[last[0]] != sign[run[0]]:
            knots.append(int(run[0]))
    return sorted(set(knots))


@matplotlib.rc_context(STYLE)
def plot_schedule(lr, momentum, steps_per_epoch):
    """Draws learning rate and momentum of every step, with the knots of the schedule.

    Args:
        lr: (steps,) learning rate of each step.
        momentum: (steps,) momentum of each step.
        steps_per_epoch: int >= 1.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal lengths or steps_per_epoch < 1.
    """
    lr = _check_shape(lr, (None,), "lr", "pass the value of every step")
    momentum = _check_shape(momentum, lr.shape, "momentum", "one value for each step")
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, got {steps_per_epoch}.")
    figure, panels = _figure(
        4.8, "Learning rate and momentum of the schedule, step by step", 2, sharex=True
    )
    steps = np.arange(len(lr))
    for axes, values, name, color in (
        (panels[0], lr, "learning rate", BLUE),
        (panels[1], momentum, "momentum", VERMILION),
    ):
        axes.plot(steps, values, color=color)
        axes.margins(x=0.09, y=0.28)
        axes.set_ylabel(name)
        _grid(axes)
        knots = _turning_points(values, steps_per_epoch + 1)
        if len(knots) > 6:  # not a schedule of a few phases: the ends and the extremes will do
            knots = sorted({0, int(values.argmax()), int(values.argmin()), len(values) - 1})
        last, high = -len(lr), None
        for knot in knots:
            # A label goes above a high knot and below a low one, unless a neighbor is in the way.
            beside, above = knot - last < 0.2 * len(lr), high
            high = values[knot] >= (values.min() + values.max()) / 2
            high = high != (beside and high == above)
            last = knot
            axes.plot(knot, values[knot], "o", color=color, markersize=5)
            axes.annotate(
                f"step {knot:,}: {values[knot]:.3g}",
                (knot, values[knot]),
                xytext=(0, 7 if high else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if high else "top",
            )
    panels[1].set_xlabel(f"step ({steps_per_epoch:,} steps an epoch)")
    epochs = panels[0].secondary_xaxis(
        "top", functions=(lambda x: x / steps_per_epoch, lambda x: x * steps_per_epoch)
    )
    epochs.set_xlabel("epoch")
    return figure


def _columns(history, name):
    """Turns a list of rows or a dict of columns into a dict of float arrays."""
    if isinstance(history, dict):
        columns = history
    else:
        rows = list(history)
        columns = {key: [row.get(key) for row in rows] for key in (rows[0] if rows else {})}
    needed = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    missing = [key for key in needed if key not in columns or not len(columns[key])]
    if missing:
        raise ValueError(
            f"{name} has no values for {missing}; it needs {list(needed)}, "
            f"as report.read_history returns them."
        )
    return {key: np.asarray(columns[key], "float64") for key in needed}


@matplotlib.rc_context(STYLE)
def plot_history(history, reference=None, reference_name="2019 submission"):
    """Draws accuracy and loss of every epoch, with an earlier run behind in gray.

    Args:
        history: list of dicts or dict of columns with epoch, loss, accuracy, val_loss and
            val_accuracy (accuracies 0..1), as `report.read_history` returns it.
        reference: the same of the run to compare with, or None.
        reference_name: how the legend calls that run.

    Returns:
        The figure.

    Raises:
        ValueError: when a column is missing or empty.
    """
    history = _columns(history, "history")
    runs = [(history, "", BLUE, ORANGE, 2.0, 3)]
    if reference is not None:
        reference = _columns(reference, "reference")
        runs.insert(0, (reference, f"{reference_name}, ", "#7a7a7a", "#b5b5b5", 1.4, 2))
    figure, panels = _figure(
        4.2, "Accuracy and loss by epoch, on training and test images", 1, 2, sharex=True
    )
    for axes, key, scale in zip(panels, ("accuracy", "loss"), (100, 1), strict=True):
        for run, prefix, test_color, training_color, width, order in runs:
            marker = "o" if len(run["epoch"]) < 12 else None
            style = {"linewidth": width, "zorder": order, "marker": marker, "markersize": 4}
            axes.plot(
                run["epoch"],
                scale * run[f"val_{key}"],
                **{"color": test_color, "label": f"{prefix}test images", **style},
            )
            axes.plot(
                run["epoch"],
                scale * run[key],
                **{"color": training_color, "label": f"{prefix}training images", **style},
                linestyle=(0, (4, 1.5)),
            )
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _grid(axes)
    panels[0].set_title("accuracy (%)")
    panels[1].set_title("loss, L2 penalty included")
    panels[1].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i].startswith(reference_name))
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower center",
        ncols=2,
        handlelength=3.0,
    )
    return figure


@matplotlib.rc_context(STYLE)
def plot_confusion(matrix, class_names):
    """Draws a confusion matrix as counts; zeros are left blank.

    Args:
        matrix: (K, K) ints >= 0; entry [i, j] counts images of class i taken for class j.
        class_names: K names.

    Returns:
        The figure.

    Raises:
        ValueError: when the matrix is not (K, K) or holds a negative number.
    """
    side = len(class_names)
    matrix = _check_shape(matrix, (side, side), "matrix", "one row and column for each class")
    if (matrix < 0).any():
        raise ValueError(f"matrix must hold counts >= 0, got {matrix.min()}.")
    figure, axes = _figure(
        6.4, f"Confusion matrix: {np.trace(matrix):,} of {matrix.sum():,} images are right"
    )
    # Shares of a row, on a square-root scale: else the diagonal hides every confusion.
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    for row, column in np.argwhere(matrix > 0):
        axes.text(
            column,
            row,
            f"{matrix[row, column]:,}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.35 else "black",
            weight="bold" if row == column else "normal",
        )
    axes.set_xticks(range(side), class_names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(side), class_names)
    axes.set_xticks(np.arange(side - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(side - 1) + 0.5, minor=True)
    axes.grid(True, which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(
        f"{np.trace(matrix):,} of {matrix.sum():,} images on the diagonal (right)", pad=8
    )
    return figure


@matplotlib.rc_context(STYLE)
def plot_per_class(accuracy, class_names, ci=None):
    """Draws the accuracy of each class, best first.

    Args:
        accuracy: (K,) in 0..1.
        class_names: K names.
        ci: (K, 2) lower and upper end of each interval in 0..1, or None.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit, or values outside 0..1.
    """
    accuracy = _check_shape(accuracy, (len(class_names),), "accuracy", "one value for each class")
    bounds = np.stack([accuracy, accuracy], 1) if ci is None else np.asarray(ci, "float64")
    _check_shape(bounds, (len(class_names), 2), "ci", "a lower and an upper end for each class")
    for name, values in (("accuracy", accuracy), ("ci", bounds)):
        if not (np.min(values) >= 0 and np.max(values) <= 1):
            raise ValueError(
                f"{name} must lie in 0..1, got {np.min(values)} to {np.max(values)}; "
                f"divide percentages by 100."
            )
    order = np.argsort(accuracy, kind="stable")
    values, bounds = 100 * accuracy[order], 100 * bounds[order]
    rows = np.arange(len(order))
    figure, axes = _figure(
        0.34 * len(order) + 0.9, "Accuracy of each class, with its 95 % interval"
    )
    axes.hlines(rows, bounds[:, 0], bounds[:, 1], color=SKY, linewidth=5, capstyle="butt")
    axes.plot(values, rows, "o", color=BLUE, markersize=7)
    for row, value, upper in zip(rows, values, bounds[:, 1], strict=True):
        axes.annotate(
            f"{value:.1f}",
            (max(value, upper), row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
        )
    axes.axvline(100 * accuracy.mean(), color=GRAY, linestyle="--", linewidth=1.2)
    axes.set_yticks(rows, [class_names[i] for i in order])
    low = min(bounds[:, 0].min(), values.min())
    spread = max(bounds[:, 1].max() - low, 1.0)
    axes.set_xlim(low - 0.08 * spread, bounds[:, 1].max() + 0.14 * spread)
    note = "" if ci is None else "; bar: 95 % interval"
    axes.set_xlabel(f"test accuracy (%){note}; dashed: mean of the classes")
    axes.tick_params(axis="y", length=0)
    _grid(axes, "x")
    return figure


class Caption(NamedTuple):
    """What `plot_cam_gallery` writes over one image."""

    truth: str | None  # None where it is not known, as for a photo of your own
    predicted: str
    confidence: float  # of the prediction, 0..1


@matplotlib.rc_context(STYLE)
def plot_cam_steps(image, activation_maps, weights, raw_map, overlay_image, colormap="inferno"):
    """Draws how one Grad-CAM map comes about: channels, weighted sum, ReLU, overlay.

    Args:
        image: (h, w, 3) pixels, uint8 or floats in 0..255.
        activation_maps: (rows, columns, K) output of the explained layer.
        weights: (K,) weight of each channel.
        raw_map: (rows, columns) weighted sum, before the ReLU.
        overlay_image: (H, W, 3) uint8, as `gradcam.overlay` returns it.
        colormap: Matplotlib name of the heat scale, the one of the overlay.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit each other.
    """
    image, overlay_image = _pixels(image, "image", 3), _pixels(overlay_image, "overlay_image", 3)
    maps = _check_shape(activation_maps, (None, None, None), "activation_maps", "pass one image's")
    weights = _check_shape(weights, maps.shape[2:], "weights", "one weight for each channel")
    raw_map = _check_shape(raw_map, maps.shape[:2], "raw_map", "pass the map before resizing")
    if maps.shape[2] < 3:
        raise ValueError(f"activation_maps must have 3 channels or more, got {maps.shape[2]}.")
    figure, panels = _figure(
        5.1,
        "One Grad-CAM map step by step, from the image to the overlay",
        2,
        4,
        photographic=True,
    )
    _show(panels[0, 0], image, "image", interpolation="catrom")
    # The channels that contribute most somewhere, whatever the sign.
    order = np.argsort(-np.abs(weights) * np.abs(maps).max(axis=(0, 1)), kind="stable")[:3]
    for axes, channel in zip(panels[0, 1:], order, strict=True):
        weight = f"{weights[channel]:+.2g}".replace("-", "\u2212")
        _show(axes, maps[:, :, channel], f"channel {channel}, weight {weight}", cmap="gray")
    limit = max(float(np.abs(raw_map).max()), 1e-12)
    signed = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}
    mappable = _show(panels[1, 0], raw_map, f"sum over all {maps.shape[2]} channels", **signed)
    bar = figure.colorbar(mappable, ax=panels[1, 0], orientation="horizontal", pad=0.03, aspect=14)
    bar.set_ticks([-limit, 0, limit], labels=["\u2212", "0", "+"])
    bar.ax.tick_params(length=0)
    positive = np.maximum(raw_map, 0)
    _show(panels[1, 1], positive, "ReLU: evidence for", cmap=colormap, vmin=0)
    _show(panels[1, 2], positive, "upsampled", cmap=colormap, vmin=0, interpolation="bilinear")
    _show(panels[1, 3], overlay_image, "laid over the image")
    heat = ScalarMappable(cmap=colormap)
    bar = figure.colorbar(heat, ax=panels[1, 1:], orientation="horizontal", pad=0.03, aspect=44)
    bar.set_ticks([0, 1], labels=["0", "largest value of the map"])
    bar.ax.get_xticklabels()[1].set_horizontalalignment("right")
    bar.ax.tick_params(length=0)
    return figure


@matplotlib.rc_context(STYLE)
def plot_cam_gallery(images, overlays, captions, columns=4, colormap="inferno"):
    """Draws pairs of image and overlay, with truth, prediction and confidence.

    A wrong prediction has a thick frame and a cross before its caption, a right one a check
    mark, so that no reader needs to tell colors apart.

    Args:
        images: N images (h, w, 3), uint8 or floats in 0..255.
        overlays: N overlays (H, W, 3) uint8, as `gradcam.overlay` returns them.
        captions: N `Caption` (or tuples truth, predicted, confidence).
        columns: int >= 1, pairs beside each other.
        colormap: Matplotlib name of the heat scale, the one of the overlays.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal numbers, no image at all, or a confidence outside 0..1.
    """
    captions = [Caption(*caption) for caption in captions]
    if not len(images) == len(overlays) == len(captions) >= 1 or columns < 1:
        raise ValueError(
            f"plot_cam_gallery needs one overlay and one caption for each image and columns >= 1, "
            f"got {len(images)} images, {len(overlays)} overlays, {len(captions)} captions and "
            f"{columns} columns."
        )
    bad = [caption for caption in captions if not 0 <= caption.confidence <= 1]
    if bad:
        raise ValueError(f"The confidence must lie in 0..1, got {bad[0].confidence}: {bad[0]}.")
    rows = -(-len(images) // columns)
    wrong = [c.truth is not None and c.truth != c.predicted for c in captions]
    lines = 2 if any(wrong) else 1
    cell = WIDTH / columns
    figure = Figure(
        figsize=(WIDTH, rows * (cell / 2 + 0.04 + 0.17 * lines) + 0.68), layout="constrained"
    )
    figure.photographic = True
    figure.description = (
        f"Grad-CAM of {len(images)} images, {sum(wrong)} of them wrongly classified: "
        + "; ".join(f"{c.truth or 'unknown'} taken for {c.predicted}" for c in captions)
    )
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04, wspace=0.0, hspace=0.0)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    size = 224
    for axes, image, heat, caption, is_wrong in zip(
        cells, images, overlays, captions, wrong, strict=False
    ):
        for side, picture in enumerate((_pixels(image, "image", 3), _pixels(heat, "overlay", 3))):
            left = side * (size + 8)
            axes.imshow(picture, extent=(left, left + size, size, 0), interpolation="catrom")
        axes.set_xlim(-8, 2 * size + 16)
        axes.set_ylim(size + 8, -8)
        if is_wrong:
            frame = Rectangle(
                (-5, -5), 2 * size + 18, size + 10, fill=False, edgecolor=VERMILION, linewidth=3
            )
            axes.add_patch(frame)
        axes.set_title(
            _caption_text(caption, is_wrong, lines),
            fontsize=9.5,
            linespacing=1.25,
            pad=2,
            loc="left",
        )
    bar = figure.colorbar(
        ScalarMappable(cmap=colormap), ax=cells, orientation="horizontal", aspect=60, pad=0.01,
        shrink=0.6,
    )  # fmt: skip
    bar.set_ticks([0, 1], labels=["no evidence", "strongest evidence for the prediction"])
    bar.ax.tick_params(length=0)
    bar.ax.get_xticklabels()[0].set_horizontalalignment("left")
    bar.ax.get_xticklabels()[1].set_horizontalalignment("right")
    note = "\u2713 right, \u2717 wrong and framed; " if any(c.truth for c in captions) else ""
    bar.ax.set_xlabel(f"{note}% is the confidence of the prediction", labelpad=1, fontsize=9.5)
    return figure


def _caption_text(caption, is_wrong, lines):
    mark = "" if caption.truth is None else "\u2717 " if is_wrong else "\u2713 "
    text = f"{mark}{caption.predicted} {100 * caption.confidence:.0f} %"
    if is_wrong:
        return f"{text}\n    truth: {caption.truth}"
    return "\n" * (lines - 1) + text  # the last line stands right above the image


@matplotlib.rc_context(STYLE)
def plot_cam_depth(image, overlays, layer_names):
    """Draws one image and its overlays from several layers, from early to late.

    Args:
        image: (h, w, 3) pixels, uint8 or floats in 0..255.
        overlays: N overlays (H, W, 3) uint8.
        layer_names: N names; a line break in a name is kept.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal numbers or no overlay at all.
    """
    if not len(overlays) == len(layer_names) >= 1:
        raise ValueError(
            f"plot_cam_depth needs one name for each overlay, got {len(overlays)} overlays and "
            f"{len(layer_names)} names."
        )
    count = len(overlays) + 1
    figure, panels = _figure(
        WIDTH / count + 0.35,
        f"Grad-CAM at {', '.join(layer_names)}",
        1,
        count,
        photographic=True,
    )
    _show(panels[0], _pixels(image, "image", 3), "image", interpolation="catrom")
    for axes, picture, name in zip(panels[1:], overlays, layer_names, strict=True):
        _show(axes, _pixels(picture, "overlay", 3), name.replace("_", " "))
    return figure


@matplotlib.rc_context(STYLE)
def plot_faithfulness(curves, randomization=None):
    """Draws insertion and deletion against baselines, and the cascade of random layers.

    Args:
        curves: dict of a method's name to its `utils.faithfulness.PerturbationCurves`, the method
            in question first, then the baselines; at most 4.
        randomization: `utils.faithfulness.Randomization` of the method in question, or None.

    Returns:
        The figure. Bands are 95 % intervals of the mean over images.

    Raises:
        ValueError: on no method or more than 4, or on curves that do not fit their fractions.
    """
    if not 1 <= len(curves) <= 4:
        raise ValueError(f"curves must hold 1 to 4 methods, got {len(curves)}: {list(curves)}.")
    with_cascade = randomization is not None
    figure = Figure(figsize=(WIDTH, 6.9 if with_cascade else 3.9), layout="constrained")
    figure.description = "Insertion and deletion curves of " + ", ".join(curves)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.08)
    rows = figure.add_gridspec(1 + with_cascade, 2)
    looks = ((BLUE, "-", 2.4), (ORANGE, "--", 1.8), (GREEN, "-.", 1.8), (PURPLE, ":", 2.2))
    for column, (field, goal) in enumerate((("insertion", "high"), ("deletion", "low"))):
        axes = figure.add_subplot(rows[0, column])
        for (name, result), (color, line, width) in zip(curves.items(), looks, strict=False):
            values = _check_shape(
                getattr(result, field),
                (None, len(result.fractions)),
                f"{field} of {name}",
                "one value for each fraction",
            )
            x = 100 * np.asarray(result.fractions)
            area = float(np.mean(getattr(result, f"{field}_area")))
            label = f"{name}, area {area:.2f}"
            _band(axes, x, 100 * values, color, linestyle=line, linewidth=width, label=label)
        axes.set_title(f"{field}: {goal} is good")
        axes.set_xlabel("pixels restored (%)" if field == "insertion" else "pixels removed (%)")
        axes.set_ylabel("probability of the class (%)")
        axes.set_ylim(0, 100)
        _grid(axes)
        axes.legend(loc="lower right" if field == "insertion" else "upper right")
    if with_cascade:
        stages = len(randomization.layers)
        values = _check_shape(
            randomization.correlations, (stages, None), "correlations", "one row for each stage"
        )
        axes = figure.add_subplot(rows[1, :])
        whole = np.vstack([np.ones(values.shape[1]), values])  # a map agrees with itself
        _band(axes, np.arange(stages + 1), whole.T, BLUE, linewidth=2.2, marker="o")
        axes.axhline(0, color=GRAY, linewidth=1)
        names = [name.replace("_", "\n", 2).replace("_", " ") for name in randomization.layers]
        axes.set_xticks(range(stages + 1), ["none", *names], fontsize=9)
        axes.set_ylim(min(-0.25, whole.mean(axis=1).min() - 0.15), 1.08)
        axes.set_title(
            "layers made random, from the logits down to the one named (falling is good)"
        )
        axes.set_ylabel("rank correlation\nwith the original map")
        _grid(axes)
    return figure


def _band(axes, x, values, color, **style):
    """Mean over images (rows) with its 95 % interval."""
    mean = values.mean(axis=0)
    error = 1.96 * values.std(axis=0) / np.sqrt(len(values))
    axes.plot(x, mean, color=color, **style)
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
