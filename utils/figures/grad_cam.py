"""Grad-CAM for a few images: step by step, depth by depth, method by method."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable

from utils.figures.style import STYLE, WIDTH, check_shape, make_figure, rgb_pixels, show_image


@matplotlib.rc_context(STYLE)
def plot_cam_steps(image, activation_maps, weights, raw_map, overlay_image, colormap="inferno"):
    """Draws how one Grad-CAM map comes about: channels, weighted sum, ReLU, overlay.

    Args:
        image: (h, w, 3) pixels, uint8 or floats in 0..255.
        activation_maps: (rows, columns, K) output of the explained layer.
        weights: (K,) weight of each channel.
        raw_map: (rows, columns) weighted sum, before the ReLU.
        overlay_image: (H, W, 3) uint8, the image under its heatmap.
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
def plot_cam_depth(image, overlays, layer_names):
    """Draws one image and its overlays from several layers, from early to late.

    Args:
        image: (h, w, 3) pixels, uint8 or floats in 0..255.
        overlays: N overlays (H, W, 3) uint8.
        layer_names: N names; long ones are wrapped at their underscores.

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
    characters = int(110 / count)  # that fit over a panel
    titles = [textwrap.fill(name.replace("_", " "), characters) for name in layer_names]
    lines = 1 + max(title.count("\n") for title in titles)
    figure, panels = make_figure(
        WIDTH / count + 0.06 + 0.17 * lines,
        f"Grad-CAM at {', '.join(layer_names)}",
        1,
        count,
        photographic=True,
    )
    show_image(panels[0], rgb_pixels(image, "image", 3), "image", interpolation="catrom")
    for axes, picture, title in zip(panels[1:], overlays, titles, strict=True):
        show_image(axes, rgb_pixels(picture, "overlay", 3), title)
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
        f"Maps of {', '.join(overlays)} for {'; '.join(rows)}".replace("\n", " "),
        len(images),
        columns,
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
