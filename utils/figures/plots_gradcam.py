"""The figures of Grad-CAM: one function each, from plain arrays to a `figures.Figure`."""

from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle

from utils.figures.style import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    STYLE,
    VERMILION,
    WIDTH,
    Figure,
    add_grid,
    check_shape,
    make_figure,
    rgb_pixels,
    show_image,
)


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
        overlay_image: (H, W, 3) uint8, as `overlay.overlay` returns it.
        colormap: Matplotlib name of the heat scale, the one of the overlay.

    Returns:
        The figure.

    Raises:
        ValueError: on shapes that do not fit each other.
    """
    image, overlay_image = (
        rgb_pixels(image, "image", 3),
        rgb_pixels(overlay_image, "overlay_image", 3),
    )
    maps = check_shape(activation_maps, (None, None, None), "activation_maps", "pass one image's")
    weights = check_shape(weights, maps.shape[2:], "weights", "one weight for each channel")
    raw_map = check_shape(raw_map, maps.shape[:2], "raw_map", "pass the map before resizing")
    if maps.shape[2] < 3:
        raise ValueError(f"activation_maps must have 3 channels or more, got {maps.shape[2]}.")
    figure, panels = make_figure(
        5.1,
        "One Grad-CAM map step by step, from the image to the overlay",
        2,
        4,
        photographic=True,
    )
    show_image(panels[0, 0], image, "image", interpolation="catrom")
    # The channels that contribute most somewhere, whatever the sign.
    order = np.argsort(-np.abs(weights) * np.abs(maps).max(axis=(0, 1)), kind="stable")[:3]
    for axes, channel in zip(panels[0, 1:], order, strict=True):
        weight = f"{weights[channel]:+.2g}".replace("-", "\u2212")
        show_image(axes, maps[:, :, channel], f"channel {channel}, weight {weight}", cmap="gray")
    limit = max(float(np.abs(raw_map).max()), 1e-12)
    signed = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}
    mappable = show_image(panels[1, 0], raw_map, f"sum over all {maps.shape[2]} channels", **signed)
    bar = figure.colorbar(mappable, ax=panels[1, 0], orientation="horizontal", pad=0.03, aspect=14)
    bar.set_ticks([-limit, 0, limit], labels=["\u2212", "0", "+"])
    bar.ax.tick_params(length=0)
    positive = np.maximum(raw_map, 0)
    show_image(panels[1, 1], positive, "ReLU: evidence for", cmap=colormap, vmin=0)
    show_image(panels[1, 2], positive, "upsampled", cmap=colormap, vmin=0, interpolation="bilinear")
    show_image(panels[1, 3], overlay_image, "laid over the image")
    heat = ScalarMappable(cmap=colormap)
    bar = figure.colorbar(heat, ax=panels[1, 1:], orientation="horizontal", pad=0.03, aspect=44)
    bar.set_ticks([0, 1], labels=["0", "largest value of the map"])
    bar.ax.get_xticklabels()[1].set_horizontalalignment("right")
    bar.ax.tick_params(length=0)
    return figure


@matplotlib.rc_context(STYLE)
def plot_cam_gallery(
    images, overlays, captions, columns=4, colormap="inferno", maps=("the prediction",)
):
    """Draws each image beside its overlays, with truth, prediction and confidence.

    A wrong prediction has a thick frame and a cross before its caption, a right one a check
    mark, so that no reader needs to tell colors apart.

    Args:
        images: N images (h, w, 3), uint8 or floats in 0..255.
        overlays: N overlays (H, W, 3) uint8, as `overlay.overlay` returns them; or N sequences
            of as many overlays as `maps` has names.
        captions: N `Caption` (or tuples truth, predicted, confidence).
        columns: int >= 1, groups of image and overlays beside each other.
        colormap: Matplotlib name of the heat scale, the one of the overlays.
        maps: what the overlays of an image show evidence for, from left to right.

    Returns:
        The figure.

    Raises:
        ValueError: on unequal numbers, no image at all, or a confidence outside 0..1.
    """
    captions = [Caption(*caption) for caption in captions]
    overlays = [[one] if np.ndim(one) == 3 else list(one) for one in overlays]
    if any(len(group) != len(maps) for group in overlays):
        raise ValueError(
            f"plot_cam_gallery needs {len(maps)} overlays for each image, one for each of {maps}, "
            f"got {sorted({len(group) for group in overlays})}."
        )
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
    pictures = 1 + len(maps)  # of one group
    side = WIDTH / columns / pictures
    figure = Figure(
        figsize=(WIDTH, rows * (side + 0.04 + 0.17 * lines) + 0.68), layout="constrained"
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
    width = pictures * (size + 8) - 8
    for axes, image, group, caption, is_wrong in zip(
        cells, images, overlays, captions, wrong, strict=False
    ):
        group = [rgb_pixels(heat, "overlay", 3) for heat in group]
        for number, picture in enumerate([rgb_pixels(image, "image", 3), *group]):
            left = number * (size + 8)
            axes.imshow(picture, extent=(left, left + size, size, 0), interpolation="catrom")
        axes.set_xlim(-8, width + 8)
        axes.set_ylim(size + 8, -8)
        if is_wrong:
            frame = Rectangle(
                (-5, -5), width + 10, size + 10, fill=False, edgecolor=VERMILION, linewidth=3
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
    strongest = f"strongest evidence for {maps[0]}" if len(maps) == 1 else "strongest of each map"
    bar.set_ticks([0, 1], labels=["no evidence", strongest])
    bar.ax.tick_params(length=0)
    bar.ax.get_xticklabels()[0].set_horizontalalignment("left")
    bar.ax.get_xticklabels()[1].set_horizontalalignment("right")
    note = "\u2713 right, \u2717 wrong and framed; " if any(c.truth for c in captions) else ""
    if len(maps) > 1:
        note = f"image, then evidence for {' and for '.join(maps)}; " + note
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
    figure, panels = make_figure(
        WIDTH / count + 0.35,
        f"Grad-CAM at {', '.join(layer_names)}",
        1,
        count,
        photographic=True,
    )
    show_image(panels[0], rgb_pixels(image, "image", 3), "image", interpolation="catrom")
    for axes, picture, name in zip(panels[1:], overlays, layer_names, strict=True):
        show_image(axes, rgb_pixels(picture, "overlay", 3), name.replace("_", " "))
    return figure


@matplotlib.rc_context(STYLE)
def plot_cam_methods(images, overlays, rows):
    """Draws images, one a row, beside the overlays of several methods, one a column.

    Args:
        images: N images (h, w, 3), uint8 or floats in 0..255.
        overlays: dict of the method's name to N overlays (H, W, 3) uint8; a line break in a name
            is kept.
        rows: N names, one for each image.

    Returns:
        The figure.

    Raises:
        ValueError: on no image or no method, or unequal numbers.
    """
    counts = {name: len(group) for name, group in overlays.items()}
    if not counts or not len(images) or {*counts.values(), len(rows)} != {len(images)}:
        raise ValueError(
            f"plot_cam_methods needs an overlay of every method and a name for each image, got "
            f"{len(images)} images, {len(rows)} names and overlays {counts}."
        )
    columns = 1 + len(overlays)
    figure, panels = make_figure(
        ((WIDTH - 0.4) / columns + 0.04) * len(images) + 0.45,
        f"Maps of {', '.join(name.replace(chr(10), ' ') for name in overlays)} for "
        f"{', '.join(rows)}",
        *(len(images), columns),
        photographic=True,
        squeeze=False,
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for number, (image, name) in enumerate(zip(images, rows, strict=True)):
        top = number == 0
        picture = rgb_pixels(image, "image", 3)
        show_image(panels[number, 0], picture, "image" if top else "", interpolation="catrom")
        panels[number, 0].set_ylabel(name, fontsize=10)
        for axes, (method, group) in zip(panels[number, 1:], overlays.items(), strict=True):
            show_image(axes, rgb_pixels(group[number], "overlay", 3), method if top else "")
    return figure


@matplotlib.rc_context(STYLE)
def plot_photo(photo, small, overlay_photo, probabilities, class_names, top=3):
    """Draws a photo with its map, beside what the network was shown and what it makes of it.

    Args:
        photo: (H, W, 3) uint8, the photo; the central square is marked.
        small: (h, w, 3) uint8, the square as the network sees it.
        overlay_photo: (H, W, 3) uint8, as `utils.explain.galleries.photo_overlay` returns it.
        probabilities: (classes,) floats in 0..1.
        class_names: as many names.
        top: int >= 1, how many of the most probable classes to show.

    Returns:
        The figure.

    Raises:
        ValueError: on pictures of different size, another number of names, or top < 1.
    """
    photo, overlay_photo = rgb_pixels(photo, "photo", 3), rgb_pixels(overlay_photo, "overlay", 3)
    if photo.shape != overlay_photo.shape:
        raise ValueError(
            f"photo and overlay must have one size, got {photo.shape} and {overlay_photo.shape}."
        )
    if top < 1:
        raise ValueError(f"top must be 1 or more, got {top}.")
    odds = check_shape(probabilities, (len(class_names),), "probabilities", "one for each class")
    best = np.argsort(-odds, kind="stable")[:top]
    height, width = photo.shape[:2]
    shares = [width / height, 1.0, width / height, 0.9]  # widths of the panels at one height
    figure, panels = make_figure(
        min(WIDTH / sum(shares) + 0.45, 6.0),
        "Photo, what the network sees, Grad-CAM over the photo, and the most probable classes: "
        + ", ".join(f"{class_names[one]} {100 * odds[one]:.0f} %" for one in best),
        *(1, 4),
        photographic=True,
        width_ratios=shares,
    )
    show_image(panels[0], photo, "photo, square in use")
    side = min(height, width)
    corner = ((width - side) / 2 - 0.5, (height - side) / 2 - 0.5)
    for color, line in ((BLACK, 3.5), ("white", 1.5)):  # readable on any ground
        frame = Rectangle(corner, side, side, fill=False, edgecolor=color, linewidth=line)
        panels[0].add_patch(frame)
    show_image(panels[1], rgb_pixels(small, "small", 3), "what the network sees")
    show_image(panels[2], overlay_photo, f"evidence for {class_names[best[0]]}")
    axes = panels[3]
    axes.barh(range(len(best)), 100 * odds[best], color=BLUE, height=0.5)
    for row, one in enumerate(best):
        text = f"{class_names[one]} {100 * odds[one]:.1f} %"
        axes.text(0, row - 0.3, text, va="bottom", fontsize=10)
    axes.set_ylim(len(best) - 0.6, -0.9)
    axes.set_xlim(0, 100)
    axes.set_title("confidence", fontsize=10, loc="center")
    axes.set_box_aspect(1 / shares[3])  # as high as the pictures
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return figure


@matplotlib.rc_context(STYLE)
def plot_faithfulness(curves, randomization=None):
    """Draws insertion and deletion against baselines, and the cascade of random layers.

    Args:
        curves: dict of a method's name to its `utils.explain.perturbation.PerturbationCurves`, the
            method in question first, then the baselines; at most 4.
        randomization: `utils.explain.randomization.Randomization` of the method in question, or
            None.

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
        stages = len(randomization.layers)
        values = check_shape(
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
        add_grid(axes)
    return figure


def _band(axes, x, values, color, **style):
    """Mean over images (rows) with its 95 % interval, which a single image does not have."""
    mean = values.mean(axis=0)
    axes.plot(x, mean, color=color, **style)
    if len(values) < 2:
        return
    error = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
