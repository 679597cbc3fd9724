"""The test set: accuracy of each class, and which class is taken for which."""

import matplotlib
import numpy as np

from utils.figures.style import BLUE, GRAY, SKY, STYLE, add_grid, check_shape, make_figure

WHITE_FROM = 0.62  # the share of a row from which white stands out from its blue, and black less


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
            color="white" if shares[row, column] > WHITE_FROM else "black",
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
        0.34 * len(order) + 0.9,
        "Test accuracy of each class: "
        + ", ".join(f"{class_names[i]} {100 * accuracy[i]:.1f} %" for i in order[::-1]),
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
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )
    axes.axvline(100 * accuracy.mean(), color=GRAY, linestyle="--", linewidth=1.2)
    axes.set_yticks(rows, [class_names[i] for i in order])
    low, high = min(bounds[:, 0].min(), values.min()), bounds[:, 1].max()
    spread = max(high - low, 10.0)  # of nearly equal classes a closer look would show noise
    axes.set_xlim(low - 0.08 * spread, high + 0.14 * spread)
    note = "" if ci is None else "; bar: 95 % interval"
    axes.set_xlabel(f"test accuracy (%){note}; dashed: mean of the classes")
    axes.tick_params(axis="y", length=0)
    add_grid(axes, "x")
    return figure
