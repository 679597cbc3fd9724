"""The figures of data and training: one function each, from plain arrays to a `figures.Figure`."""

import textwrap
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.transforms import ScaledTranslation

from utils.figures.style import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    STYLE,
    VERMILION,
    WIDTH,
    add_grid,
    check_shape,
    make_figure,
    rgb_pixels,
    show_image,
)


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
        dataset: a `utils.data.dataset.Dataset` (or anything with its x_train uint8 (N, h, w, 3), y_train
            and class_names).
        per_class: int >= 1, images of each class.
        seed: seed of the choice.

    Returns:
        The figure.

    Raises:
        ValueError: when a class has fewer than `per_class` training images.
    """
    images, labels = rgb_pixels(dataset.x_train, "x_train", 4), np.asarray(dataset.y_train)
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
    figure, axes = make_figure(
        WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.3,
        f"{per_class} training images of each class: {', '.join(dataset.class_names)}",
        photographic=True,
    )
    show_image(axes, mosaic)
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
    before, after = rgb_pixels(before, "before", 4), rgb_pixels(after, "after", 5)
    count, draws, height, width, _ = after.shape
    check_shape(before, (count, height, width, 3), "before", "one original for each row of after")
    blank = np.full((count, 1, height, width // 4, 3), 255, "uint8")
    strips = [_mosaic(part) for part in (before[:, None], blank, after)]
    gaps = np.full((len(strips[0]), 2, 3), 255, "uint8")
    mosaic = np.concatenate([strips[0], gaps, strips[1], gaps, strips[2]], axis=1)
    figure, axes = make_figure(
        WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.3,
        f"{count} images and {draws} augmented draws of each",
        photographic=True,
    )
    show_image(axes, mosaic)
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
        result: a `utils.training.lr_curve.RangeTestResult`, or anything with its lr (> 0), loss, smoothed
            (equal lengths) and stopped_because.
        suggestions: named tuple of learning rates (steep, minimum, valley, slide), or None; a
            suggestion that is None or NaN is left out.
        peak: the learning rate chosen as peak of the schedule, or None.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal lengths or on a learning rate that is not positive.
    """
    lr = check_shape(result.lr, (None,), "lr", "pass the learning rate of every step")
    loss = check_shape(result.loss, lr.shape, "loss", "one loss for each learning rate")
    smoothed = check_shape(result.smoothed, lr.shape, "smoothed", "one value for each lr")
    marks = dict(suggestions._asdict()) if suggestions is not None else {}
    marks["chosen peak"] = peak
    marks = {name: x for name, x in marks.items() if x is not None and np.isfinite(x)}
    if min([lr.min(), *marks.values()]) <= 0:
        raise ValueError(
            f"Learning rates must be > 0 to be drawn on a logarithmic axis, got "
            f"{min([lr.min(), *marks.values()])}; start the range test above 0."
        )
    figure, axes = make_figure(
        3.8 + 0.22 * len(marks),
        "Loss against learning rate in the range test, with the suggested learning rates",
    )
    held_out = getattr(result, "measured_on", "batch") == "held-out"
    name = "loss on held-out images" if held_out else "loss of each batch"
    axes.plot(lr, loss, color=GRAY, linewidth=0.9, alpha=0.8, label=name)
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
    axes.set_ylabel("held-out loss" if held_out else "training loss")
    add_grid(axes)
    axes.legend(loc="lower left")
    title = f"Range test, {len(lr)} steps; {result.stopped_because}"
    figure.suptitle(textwrap.fill(title, 105), x=0.01, ha="left", fontsize=10.5)
    return figure


@matplotlib.rc_context(STYLE)
def plot_peak_study(results, suggestions, proposed):
    """Draws the final held-out accuracy against the peak learning rate of one-cycle.

    Args:
        results: list of (label, records) of a `utils.records.studies.Study`, not empty; the recipes
            differ in `max_lr`.
        suggestions: named tuple of learning rates, marked below the curve; NaN is left out.
        proposed: float, the peak that the range test proposes.

    Returns:
        The figure.

    Raises:
        ValueError: when there is no result.
    """
    if not results:
        raise ValueError(
            "The study has no result; run it first with python -m utils.commands.peak_study."
        )
    peaks = np.array([records[0].run["recipe"]["max_lr"] for _, records in results])
    accuracies = [[100 * one.run["final"]["accuracy"] for one in records] for _, records in results]
    figure, axes = make_figure(
        4.2, "Final held-out accuracy against the peak learning rate, with the suggested rates"
    )
    for peak, values in zip(peaks, accuracies):
        axes.plot([peak] * len(values), values, "o", color=GRAY, markersize=5, alpha=0.8)
    means = [np.mean(values) for values in accuracies]
    axes.plot(peaks, means, "-", color=BLUE, linewidth=2.2, label="mean; dots are single seeds")
    axes.axvline(proposed, color=VERMILION, label=f"proposed peak {proposed:.3g}")
    styles = (("v", GREEN), ("s", PURPLE), ("D", ORANGE), ("^", SKY))
    for (name, x), (marker, color) in zip(suggestions._asdict().items(), styles):
        if np.isfinite(x):
            bottom = axes.get_xaxis_transform()
            label = f"{name} {x:.3g}"
            axes.plot(
                *(x, 0.03, marker),
                color=color,
                markeredgecolor=BLACK,
                markersize=8,
                linestyle="none",
                transform=bottom,
                label=label,
            )
    axes.set_xscale("log")
    axes.set_xlabel("peak learning rate (logarithmic)")
    axes.set_ylabel("held-out accuracy, %")
    add_grid(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
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
    lr = check_shape(lr, (None,), "lr", "pass the value of every step")
    momentum = check_shape(momentum, lr.shape, "momentum", "one value for each step")
    if steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch must be at least 1, got {steps_per_epoch}.")
    figure, panels = make_figure(
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
        add_grid(axes)
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
    figure, panels = make_figure(
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
        add_grid(axes)
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
    matrix = check_shape(matrix, (side, side), "matrix", "one row and column for each class")
    if (matrix < 0).any():
        raise ValueError(f"matrix must hold counts >= 0, got {matrix.min()}.")
    figure, axes = make_figure(
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
    accuracy = check_shape(accuracy, (len(class_names),), "accuracy", "one value for each class")
    bounds = np.stack([accuracy, accuracy], 1) if ci is None else np.asarray(ci, "float64")
    check_shape(bounds, (len(class_names), 2), "ci", "a lower and an upper end for each class")
    for name, values in (("accuracy", accuracy), ("ci", bounds)):
        if not (np.min(values) >= 0 and np.max(values) <= 1):
            raise ValueError(
                f"{name} must lie in 0..1, got {np.min(values)} to {np.max(values)}; "
                f"divide percentages by 100."
            )
    order = np.argsort(accuracy, kind="stable")
    values, bounds = 100 * accuracy[order], 100 * bounds[order]
    rows = np.arange(len(order))
    figure, axes = make_figure(
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
    add_grid(axes, "x")
    return figure
