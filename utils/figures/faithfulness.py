"""Is the map true? Insertion and deletion, the cascade of random layers, and the pointing game."""

import matplotlib
import numpy as np

from utils.figures.style import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    STYLE,
    WIDTH,
    Figure,
    add_grid,
    check_shape,
    make_figure,
    rgb_pixels,
    show_image,
)


@matplotlib.rc_context(STYLE)
def plot_faithfulness(curves, randomization=None):
    """Draws insertion and deletion against baselines, and the cascade of random layers.

    Args:
        curves: dict of a method's name to an object with the attributes fractions (F,) in 0..1,
            insertion (N, F), deletion (N, F): probabilities for N images, and insertion_area (N,),
            deletion_area (N,). The method in question first, then the baselines; at most 4.
        randomization: object with the attributes layers (S names) and correlations (D, S, N): rank
            correlations with the original map of N images in D draws of the weights, or None.

    Returns:
        The figure. Bands are 95 % intervals of the mean over images; of the cascade each draw has
        a thin line, its mean over images, and all of them a thick one.

    Raises:
        ValueError: on no method or more than 4, or on curves that do not fit their fractions.
    """
    if not 1 <= len(curves) <= 4:
        raise ValueError(f"curves must hold 1 to 4 methods, got {len(curves)}: {list(curves)}.")
    with_cascade = randomization is not None
    figure = Figure(figsize=(WIDTH, 6.9 if with_cascade else 3.9), layout="constrained")
    figure.description = "Area under the insertion and the deletion curve: " + "; ".join(
        f"{name} {np.mean(one.insertion_area):.2f} and {np.mean(one.deletion_area):.2f}"
        for name, one in curves.items()
    )
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.08)
    rows = figure.add_gridspec(1 + with_cascade, 2)
    looks = ((BLUE, "-", 2.4), (ORANGE, "--", 1.8), (GREEN, "-.", 1.8), (PURPLE, ":", 2.2))
    for column, (field, goal) in enumerate((("insertion", "high"), ("deletion", "low"))):
        axes = figure.add_subplot(rows[0, column])
        for (name, result), (color, line, width) in zip(curves.items(), looks, strict=False):
            values = check_shape(
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
        add_grid(axes)
        axes.legend(loc="lower right" if field == "insertion" else "upper right")
    if with_cascade:
        means = _draw_cascade(figure.add_subplot(rows[1, :]), randomization)
        figure.description += (
            ". Rank correlation with the original map as layers become random, mean of "
            f"{len(means)} draws of the weights: "
            + ", ".join(f"{value:.2f}" for value in means.mean(axis=0))
        )
    return figure


@matplotlib.rc_context(STYLE)
def plot_pointing(images, masks, heatmaps, overlays, names):
    """Draws images with the outline of their object, and where the heat is highest.

    Args:
        images: (N, h, w, 3) pixels, uint8 or floats in 0..255; N >= 2.
        masks: (N, h, w) bool, true on the object.
        heatmaps: (N, h, w) floats.
        overlays: (N, H, W, 3) uint8, the images under their heatmaps, in any size.
        names: N names of the objects.

    Returns:
        The figure. Outlines above, overlays below; a ring marks a highest value that lies on the
        object, a cross one that does not.

    Raises:
        ValueError: on shapes that do not fit each other.
    """
    images = rgb_pixels(images, "images", 4)
    overlays = rgb_pixels(overlays, "overlays", 4)
    masks = check_shape(masks, images.shape[:3], "masks", "one for each image")
    heatmaps = check_shape(heatmaps, images.shape[:3], "heatmaps", "one for each image")
    extent = (-0.5, images.shape[2] - 0.5, images.shape[1] - 0.5, -0.5)  # pixels of the images
    best = [np.unravel_index(np.argmax(heat), heat.shape) for heat in heatmaps]
    hits = [bool(mask[place]) for mask, place in zip(masks, best, strict=True)]
    description = f"The highest value of the heatmap lies on the object in {sum(hits)} of "
    description += f"{len(hits)} images: {', '.join(names)}"
    figure, panels = make_figure(2.3, description, 2, len(images), photographic=True)
    for column, name in enumerate(names):
        show_image(panels[0, column], images[column], name)
        for color, width in (("black", 2.6), ("white", 1.2)):
            panels[0, column].contour(masks[column], [0.5], colors=color, linewidths=width)
        show_image(panels[1, column], overlays[column], extent=extent)
        row, place = best[column]
        mark = {"markeredgecolor": "white", "markerfacecolor": "none", "markeredgewidth": 1.6}
        panels[1, column].plot(place, row, "o" if hits[column] else "x", markersize=7, **mark)
    return figure


def _draw_cascade(axes, randomization):
    """Draws the mean over images of each draw; returns them, (D, 1 + S)."""
    stages = len(randomization.layers)
    values = check_shape(
        randomization.correlations, (None, stages, None), "correlations", "draws, stages, images"
    )
    means = np.pad(values.mean(axis=2), ((0, 0), (1, 0)), constant_values=1)  # agrees with itself
    if len(means) > 1:
        axes.plot(means.T, color=BLUE, linewidth=0.9, alpha=0.6)
    axes.plot(means.mean(axis=0), color=BLUE, linewidth=2.4, marker="o")
    axes.axhline(0, color=GRAY, linewidth=1)
    names = [name.replace("_", "\n", 2).replace("_", " ") for name in randomization.layers]
    axes.set_xticks(range(stages + 1), ["none", *names], fontsize=9)
    axes.set_ylim(min(-0.25, means.min() - 0.15), 1.08)
    axes.set_title("layers made random, from the logits down to the one named (falling is good)")
    axes.set_ylabel("rank correlation\nwith the original map")
    add_grid(axes)
    return means


def _band(axes, x, values, color, **style):
    """Mean over images (rows) with its 95 % interval, which a single image does not have."""
    mean = values.mean(axis=0)
    axes.plot(x, mean, color=color, **style)
    if len(values) < 2:
        return
    error = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
