"""Is the map true? Maps of images whose object is known: does the heat lie on it?

All is plain NumPy and takes maps from any method, as arrays (N, h, w).
"""

import cv2
import numpy as np

from utils.explain.checks import to_array
from utils.text_table import align_columns


def pointing_game(maps, masks):
    """Tells for each map whether its maximum lies on the object.

    Zhang et al. 2016, "Top-Down Neural Attention by Excitation Backprop",
    https://arxiv.org/abs/1608.00507, Section 4.1, without its tolerance of 15 pixels. A maximum
    that is reached at several pixels hits only if all of them lie on the object, so a constant
    map does not score by luck.

    Args:
        maps: (N, h, w), finite.
        masks: bool (N, h, w), True on the object.

    Returns:
        bool (N,). The mean is the pointing accuracy; a random map reaches the masks' area share.

    Raises:
        ValueError: on shapes that differ, maps that are not finite or a mask without an object.
    """
    maps, masks = _check_maps_and_masks(maps, masks)
    maximal = maps == maps.max(axis=(1, 2), keepdims=True)
    return ~(maximal & ~masks).any(axis=(1, 2))


def energy_inside(maps, masks):
    """Computes the share of each map's energy that lies on the object.

    Wang et al. 2020, "Score-CAM", https://arxiv.org/abs/1910.01279, Section 4.3 (energy-based
    pointing game). A map that is zero everywhere points nowhere in particular: like a uniform
    map, it gets the mask's share of the area.

    Args:
        maps: (N, h, w), finite, >= 0.
        masks: bool (N, h, w), True on the object.

    Returns:
        float64 (N,), 0..1, to be compared with the area share `masks.mean(axis=(1, 2))`.

    Raises:
        ValueError: as `pointing_game`, and on negative maps.
    """
    maps, masks = _check_maps_and_masks(maps, masks)
    if maps.min() < 0:
        raise ValueError(f"maps must be 0 or more, got {maps.min()}. Apply a ReLU first.")
    total = maps.sum(axis=(1, 2))
    inside = (maps * masks).sum(axis=(1, 2))
    return np.where(total > 0, inside / np.where(total > 0, total, 1), masks.mean(axis=(1, 2)))


def convex_hulls(masks):
    """Fills the hollows of objects: the smallest convex region around each of them.

    The hollow is no background to a network that tells a ring from a disc: the hole *is* the
    evidence, and the hottest pixel rightly lies in it, off the mask.

    Args:
        masks: bool (N, h, w), each with an object.

    Returns:
        bool (N, h, w).

    Raises:
        ValueError: as `pointing_game`, about the masks.
    """
    _, masks = _check_maps_and_masks(masks, masks)
    filled = np.zeros(masks.shape, "uint8")
    for mask, target in zip(masks, filled):
        rows, columns = np.nonzero(mask)
        points = np.stack([columns, rows], axis=1).astype("int32")
        cv2.fillConvexPoly(target, cv2.convexHull(points), 1)
    return filled > 0


def pointing_table(maps, masks):
    """Where the hottest pixel and the heat of several maps lie, as lines of text.

    Args:
        maps: dict of name to maps (N, h, w), finite, >= 0.
        masks: bool (N, h, w), True on the object.

    Returns:
        str; a line for each name, and one for a map that knows nothing. `on object` and `in hull`
        are pointing accuracies, on the object itself and in its convex hull; `heat` is the mean
        energy on the object, relative to what its area would get.

    Raises:
        ValueError: as `energy_inside`, and when `maps` is no dict.
    """
    if not isinstance(maps, dict) or not maps:
        raise ValueError(f"maps must be a dict of name to maps, got {type(maps).__name__}.")
    for one in maps.values():
        _, masks = _check_maps_and_masks(one, masks)
    hulls, area = convex_hulls(masks), masks.mean(axis=(1, 2))
    rows = [("", "on object", "in hull", "heat")]
    for name, one in maps.items():
        hits = (pointing_game(one, region).mean() for region in (masks, hulls))
        heat = (energy_inside(one, masks) / area).mean()
        rows.append((name, *(f"{100 * share:.1f} %" for share in hits), f"{heat:.2f} times"))
    chance = (f"{100 * region.mean():.1f} %" for region in (masks, hulls))
    rows.append(("by area", *chance, "1.00 times"))
    return align_columns(rows)


def _check_maps_and_masks(maps, masks):
    maps, masks = to_array(maps, "maps").astype("float64"), to_array(masks, "masks")
    if maps.ndim != 3 or maps.shape != masks.shape or not maps.size:
        raise ValueError(
            f"maps and masks must have one shape (N, h, w), N >= 1, got {maps.shape} and "
            f'{masks.shape}. grad_cam(..., size="input") gives maps of the image size.'
        )
    if masks.dtype != bool:
        raise ValueError(f"masks must be bool, got {masks.dtype}. Use masks > 0.")
    if not np.isfinite(maps).all():
        raise ValueError("maps must be finite, got NaN or infinity.")
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"Each mask must mark an object; masks {empty[:10]} are empty.")
    return maps, masks
