"""Painted shapes: a small data set whose true object masks are known.

One object of ten classes on a textured background in each 32x32 image. Position, size,
rotation, proportions, colors, texture and distractors vary at random and say nothing about
the class: only the outline does. The mask of the object comes from the same polygon as the
object, so heatmaps can be judged against the truth, which CIFAR-10 does not offer.
"""

import colorsys

import cv2
import numpy as np

from utils.number_checks import check_whole

CLASS_NAMES = (
    "disc", "ring", "triangle", "square", "star",
    "cross", "crescent", "heart", "arrow", "bolt",
)  # fmt: skip
SIZE = 32  # pixels, height and width
_FINE = 4  # the outline is drawn 4 times finer, then averaged: smooth edges
_RADIUS = (7.0, 11.0)  # pixels; the unit polygons below reach about 1 from their center
_STRETCH = 0.15  # either axis of an object is scaled by 1 - 0.15 to 1 + 0.15
_CONTRAST = 90.0  # least RGB distance between the object and its background
_NOISE = 6.0  # standard deviation of the pixel noise, in units of 0..255


def _arc(radius, start, stop, count=40):
    """Points on a circle around the origin, from angle `start` to `stop` (radians)."""
    angle = np.linspace(start, stop, count)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _crescent():
    tip = 0.65  # the two arcs meet at +-0.65 rad; the inner one belongs to a shifted circle
    outer = _arc(1.0, tip, 2 * np.pi - tip)
    center = 0.45
    inner_radius = np.hypot(np.cos(tip) - center, np.sin(tip))
    inner_tip = np.arctan2(np.sin(tip), np.cos(tip) - center)
    inner = _arc(inner_radius, 2 * np.pi - inner_tip, inner_tip) + [center, 0.0]
    return np.concatenate([outer, inner])


def _heart():
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y - 2], axis=1) / 16


def _star():
    corner = _arc(1.0, 0, 2 * np.pi, 11)[:10]
    corner[1::2] *= 0.42
    return 1.1 * corner


def outline(name):
    """Returns the outline of a class in unit coordinates.

    Args:
        name: One of `CLASS_NAMES`.

    Returns:
        List of float64 arrays `(points, 2)` of x and y (y down), within about 1.2 of the
        origin. A second polygon inside the first is a hole.

    Raises:
        ValueError: If `name` is no class name.
    """
    full = 2 * np.pi
    if name == "disc":
        return [_arc(0.9, 0, full)]
    if name == "ring":
        return [_arc(1.0, 0, full), _arc(0.52, 0, full)]
    if name == "triangle":
        return [_arc(1.1, 0, full, 4)[:3]]
    if name == "square":
        return [_arc(1.13, 0, full, 5)[:4]]
    if name == "star":
        return [_star()]
    if name == "cross":
        a, b = 1.0, 0.3
        corners = [(b, b), (b, a), (-b, a), (-b, b), (-a, b), (-a, -b)]
        return [np.array(corners + [(-x, -y) for x, y in corners])]
    if name == "crescent":
        return [_crescent()]
    if name == "heart":
        return [_heart()]
    if name == "arrow":
        half = [(-1.0, 0.22), (0.05, 0.22), (0.05, 0.75), (1.05, 0.0)]
        return [np.array(half + [(x, -y) for x, y in half[-2::-1]])]
    if name == "bolt":
        corners = [(0.3, -1.1), (-0.6, 0.15), (-0.05, 0.15)]
        return [np.array(corners + [(-x, -y) for x, y in corners])]
    raise ValueError(f"Unknown shape {name!r}. Choose one of {', '.join(CLASS_NAMES)}.")


def _random_color(rng):
    """A random RGB color, uniform in hue, neither black nor gray: float64 `(3,)`, 0..255."""
    hue, saturation, value = rng.uniform([0.0, 0.2, 0.25], [1.0, 0.95, 1.0])
    return 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _object_color(rng, start, stop):
    """A random color, `_CONTRAST` or more away from every mixture of two background colors."""
    line = stop - start
    while True:  # about one draw in two is kept
        color = _random_color(rng)
        share = np.clip((color - start) @ line / max(line @ line, 1.0), 0, 1)
        if np.linalg.norm(start + share * line - color) >= _CONTRAST:
            return color


def _paint_background(rng, colors):
    """Clouds and stripes between two colors, with short lines: float32 `(32, 32, 3)`."""
    cells = int(rng.integers(3, 9))
    clouds = cv2.resize(rng.random((cells, cells)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    angle, period, phase = rng.uniform([0.0, 3.0, 0.0], [np.pi, 12.0, 2 * np.pi])
    y, x = np.mgrid[:SIZE, :SIZE]
    across = x * np.cos(angle) + y * np.sin(angle)
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * across / period + phase)
    blend = rng.uniform(0.2, 1.0)  # from mostly stripes to clouds only
    share = (blend * clouds + (1 - blend) * stripes).clip(0, 1)[..., None]
    image = (share * colors[0] + (1 - share) * colors[1]).astype(np.uint8)
    for _ in range(int(rng.integers(2, 7))):
        start = rng.uniform(0, SIZE, 2)
        stop = start + rng.uniform(-9, 9, 2)
        ends = np.rint(np.stack([start, stop]) * 16).astype(int).tolist()  # 4 fraction bits
        color = _random_color(rng).tolist()
        cv2.line(image, ends[0], ends[1], color, thickness=1, lineType=cv2.LINE_AA, shift=4)
    return image.astype(np.float32)


def _object_coverage(rng, name):
    """Draws the object at a random place.

    Returns:
        float32 `(32, 32)`, the covered share of every pixel, 0..1.
    """
    angle = rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(*_RADIUS)
    scale = radius * rng.uniform(1 - _STRETCH, 1 + _STRETCH, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    polygons = [(part * scale) @ turn for part in outline(name)]
    # Wherever the polygon's box fits inside the image, it may lie.
    low, high = polygons[0].min(axis=0), polygons[0].max(axis=0)
    shift = rng.uniform(1 - low, SIZE - 1 - high)
    fine = np.zeros((SIZE * _FINE, SIZE * _FINE), np.uint8)
    corners = [np.rint((part + shift) * _FINE - 0.5).astype(np.int32) for part in polygons]
    cv2.fillPoly(fine, corners, 255)
    return cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA) / np.float32(255)


def _make_image(seed, index):
    """Paints one image: a pure function of the seed and the index.

    Returns:
        `(image, mask)`: uint8 `(32, 32, 3)` RGB and bool `(32, 32)`.
    """
    rng = np.random.default_rng([seed, index])
    name = CLASS_NAMES[index % len(CLASS_NAMES)]
    colors = [_random_color(rng), _random_color(rng)]
    paint = _object_color(rng, *colors)
    background = _paint_background(rng, colors)
    noise = rng.normal(0, _NOISE, (SIZE, SIZE, 3))
    # Only the last draws depend on the class, so nothing but the outline can tell it.
    coverage = _object_coverage(rng, name)
    alpha = coverage[..., None]
    image = alpha * paint + (1 - alpha) * background + noise
    return np.rint(image).clip(0, 255).astype(np.uint8), coverage >= 0.5


def make_shapes(count, seed):
    """Paints images of ten classes of objects, with the true mask of every object.

    Image `i` depends on `(seed, i)` alone, not on `count`; its class is `i % 10`, so classes
    are balanced.

    Args:
        count: Number of images, at least 1.
        seed: Integer of at least 0. Different seeds give different images.

    Returns:
        `(images, labels, masks)`: uint8 `(count, 32, 32, 3)` RGB, 0..255; int64 `(count,)`,
        positions in `CLASS_NAMES`; bool `(count, 32, 32)`, true where the object covers at
        least half of the pixel.

    Raises:
        ValueError: If `count` or `seed` is out of range.
    """
    count, seed = check_whole("count", count, 1), check_whole("seed", seed, 0)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.empty((count, SIZE, SIZE), bool)
    for index in range(count):
        images[index], masks[index] = _make_image(seed, index)
    return images, np.arange(count, dtype=np.int64) % len(CLASS_NAMES), masks
