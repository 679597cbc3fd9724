"""Is the map true? Ground truth, randomized weights and an identity for heat maps.

`pointing_game` and `energy_inside` are plain NumPy and take maps from any method, as arrays
(N, h, w). Insertion and deletion of pixels stand in `utils.explain.perturbation`.
"""

from typing import NamedTuple

import cv2
import keras
import numpy as np

from utils.explain.grad_cam import GradCAM, default_layer
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
    """
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
        ValueError: as `energy_inside`.
    """
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


class Randomization(NamedTuple):
    """Result of `cascading_randomization`; row s is after stage s."""

    layers: tuple  # str, the lowest layer randomized so far, from the logits down
    correlations: np.ndarray  # float64 (stages, N), rank correlation with the original map


def cascading_randomization(
    model, images, targets=None, layer=None, *, method="grad-cam", stages=8, batch_size=256, seed=0
):
    """Destroys the learned weights from the top down and watches the maps change.

    Adebayo et al. 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292,
    Section 3. A map that hardly changes when the weights are random explains the image, not the
    model. Works on a copy; the model keeps its weights.

    Args:
        model, images, batch_size: as for `utils.explain.grad_cam.grad_cam`.
        targets: None, an int or N ints. The class that is explained is that of the original model
            throughout.
        layer: name of one layer, or None for the default.
        method: one of `utils.explain.methods.HOOKS`.
        stages: int >= 2, number of measurements: the first after the logits layer alone, the last
            after all layers, evenly spaced in between.
        seed: int, of the random weights, see `randomized`.

    Returns:
        A `Randomization`. Spearman's correlation, at native resolution; 0 where a map is constant
        (it ranks nothing).

    Raises:
        ValueError: as `grad_cam`, and on fewer than 2 stages.
    """
    if isinstance(stages, bool) or not isinstance(stages, int) or stages < 2:
        raise ValueError(f"stages must be an int >= 2, got {stages!r}.")
    original = GradCAM(model, layer, method)(images, targets, batch_size=batch_size)
    random = randomized(model, seed)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    explain = GradCAM(copy, layer, method)
    top_down = [one for one in reversed(copy.layers) if one.weights]
    ends = np.unique(np.linspace(1, len(top_down), stages).round().astype(int))
    correlations = []
    for start, end in zip([0, *ends], ends, strict=False):
        for one in top_down[start:end]:
            one.set_weights(random.get_layer(one.name).get_weights())
        maps = explain(images, original.targets, batch_size=batch_size).maps
        correlations.append([spearman(a, b) for a, b in zip(original.maps, maps, strict=True)])
    return Randomization(tuple(top_down[end - 1].name for end in ends), np.array(correlations))


def randomized(model, seed=0):
    """A copy of a model that has learned nothing: what is left of a result then is chance.

    Kernels are drawn from He's normal distribution, everything else (biases, batch-norm parameters
    and statistics) has its initial value.

    Args:
        model: `keras.Model`; it keeps its weights.
        seed: int.

    Returns:
        `keras.Model`.
    """
    copy, rng = keras.models.clone_model(model), np.random.default_rng(seed)  # freshly initialized
    for weight in copy.weights:
        if len(weight.shape) >= 2:
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape))
    return copy


def spearman(first, second):
    """Spearman's rank correlation of two arrays of one size, ties with their mean rank.

    A float in -1..1, 0 if one of them is constant.
    """
    ranks = []
    for values in (first, second):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        mean_rank = np.cumsum(counts) - (counts - 1) / 2
        ranks.append(mean_rank[inverse.reshape(-1)] - (np.size(values) + 1) / 2)
    a, b = ranks
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0


def cam_identity_gap(model, images, targets=None):
    """Compares Grad-CAM with a closed form that needs no gradient.

    For a head of global average pooling and one Dense layer, Grad-CAM is the class-activation map
    (Zhou et al. 2016, https://arxiv.org/abs/1512.04150) divided by the number of positions Z:
    ReLU(sum_k w_k A_k) / Z, since d logit / d A_k = w_k / Z everywhere.

    Args:
        model, images, targets: as for `utils.explain.grad_cam.grad_cam`.

    Returns:
        The largest difference between the two, relative to the largest value: about 1e-7 in
        float32, 1e-2 in bfloat16.

    Raises:
        ValueError: as `grad_cam`, and when the model has another head.
    """
    before, dense = _pooling_head(model)
    explain = GradCAM(model)
    images = explain.check_images(images)
    explanation = explain(images, targets)
    trunk = keras.Model(model.inputs[0], before.output)
    activations = trunk.predict(images, batch_size=256, verbose=0).astype("float32")
    kernel = keras.ops.convert_to_numpy(dense.kernel.value)[:, explanation.targets]
    positions = activations.shape[1] * activations.shape[2]
    cam = np.maximum(np.einsum("nhwk,kn->nhw", activations, kernel), 0) / positions
    largest = max(cam.max(), explanation.maps.max())
    return float(np.abs(explanation.maps - cam).max() / largest) if largest > 0 else 0.0


def completeness_gap(model, images, targets=None):
    """Checks that nothing is missing from a map: its signed values and the bias are the logit.

    Draelos and Carin 2020, https://arxiv.org/abs/2011.08891, Section 4: for a head that is linear
    in the activations, the signed HiResCAM map distributes the logit over the positions.

    Args:
        model, images, targets: as for `utils.explain.grad_cam.grad_cam`.

    Returns:
        The largest difference between the sum of a map plus the bias and the logit, relative to
        the largest logit: about 1e-6 in float32, 1e-2 in bfloat16.

    Raises:
        ValueError: as `cam_identity_gap`.
    """
    _, dense = _pooling_head(model)
    explanation = GradCAM(model, method="hires-cam")(images, targets, signed=True)
    chosen = np.arange(len(explanation.targets)), explanation.targets
    bias = keras.ops.convert_to_numpy(dense.bias.value) if dense.use_bias else np.zeros(1)
    total = explanation.maps.sum(axis=(1, 2)) + bias[chosen[1] if dense.use_bias else 0]
    gap = np.abs(total - explanation.logits[chosen]).max()
    return float(gap / np.abs(explanation.logits).max())


def _pooling_head(model):
    """The explained layer and the Dense layer of a model with global average pooling in between."""
    name = default_layer(model)
    *_, before, pool, dense = model.layers
    linear = getattr(dense, "activation", None) in (None, keras.activations.linear)
    if not (
        before.name == name
        and isinstance(pool, keras.layers.GlobalAveragePooling2D)
        and isinstance(dense, keras.layers.Dense)
        and linear
    ):
        raise ValueError(
            f"The identity holds for a model that ends in {name!r}, global average pooling and one "
            f"Dense layer of logits; this one ends in {before.name!r}, {pool.name!r}, "
            f"{dense.name!r}."
        )
    return before, dense


def _check_maps_and_masks(maps, masks):
    maps, masks = np.asarray(maps, "float64"), np.asarray(masks)
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
