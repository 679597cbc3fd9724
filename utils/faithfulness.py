"""Is the map true? Ground truth, perturbation, randomization and an identity for heat maps.

All measures but `cascading_randomization` and `cam_identity_gap` are plain NumPy and take maps
from any method, as arrays (N, h, w).
"""

from typing import NamedTuple

import cv2
import keras
import numpy as np

from utils.gradcam import GradCAM, default_layer


def pointing_game(maps, masks):
    """Tells for each map whether its maximum lies on the object.

    Zhang et al. 2018, "Top-Down Neural Attention by Excitation Backprop",
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


class PerturbationCurves(NamedTuple):
    """Result of `insertion_deletion`; areas are means of the curves over the fraction 0..1."""

    fractions: np.ndarray  # float64 (steps + 1,), share of the pixels changed
    insertion: np.ndarray  # float64 (N, steps + 1), probability; high is good
    deletion: np.ndarray  # float64 (N, steps + 1), probability; low is good
    insertion_area: np.ndarray  # float64 (N,)
    deletion_area: np.ndarray  # float64 (N,)


def insertion_deletion(
    predict, images, maps, targets, *, steps=16, baseline="blur", batch_size=1024, seed=0
):
    """Follows the probability of a class while its hottest pixels are shown or taken away.

    Petsiuk et al. 2018, "RISE", https://arxiv.org/abs/1806.07421, Section 4.3. Insertion starts
    from the baseline and restores the pixels of the image from hot to cold; deletion starts from
    the image and goes to the baseline. Pixels of equal heat come in random order, so that a map
    gets no credit for the order in which an array is stored.

    Args:
        predict: callable, uint8 images (n, h, w, 3) to probabilities (n, classes).
        images: uint8 (N, h, w, 3).
        maps: (N, h, w), finite, at image resolution.
        targets: the class to follow, an int or a sequence of N ints.
        steps: int, 1..h*w, number of changes; each changes about h*w/steps pixels.
        baseline: `"blur"` (Gaussian, standard deviation an eighth of the height), `"mean"` (the
            image's mean color) or uint8 images (N, h, w, 3).
        batch_size: int >= 1, the most images that `predict` gets at once.
        seed: int, for the order of equally hot pixels.

    Returns:
        A `PerturbationCurves`.

    Raises:
        ValueError: on inputs that do not fit together, or predictions that are no probabilities.
    """
    images, maps, targets = _check_perturbation(images, maps, targets, steps)
    count, height, width, _ = images.shape
    background = _baseline(images, baseline)
    tie_break = np.random.default_rng(seed).random((count, height * width))
    order = np.lexsort((tie_break, -maps.reshape(count, -1)), axis=-1)  # hottest first
    rank = np.argsort(order, axis=-1).reshape(count, height, width, 1)
    changed = np.rint(np.linspace(0, height * width, steps + 1)).astype(int)

    def curve(start, end):
        columns = [
            _probability(predict, np.where(rank < n, end, start), targets, batch_size)
            for n in changed
        ]
        return np.stack(columns, axis=1)

    insertion, deletion = curve(background, images), curve(images, background)
    fractions = changed / (height * width)
    return PerturbationCurves(
        fractions, insertion, deletion, _area(fractions, insertion), _area(fractions, deletion)
    )


def random_maps(count, height, width, seed=0):
    """Maps of independent uniform noise, float32 (count, height, width) in 0..1.

    For noise as smooth as a Grad-CAM map make it at the layer's resolution, then use
    `utils.overlay.resize_maps`.
    """
    return np.random.default_rng(seed).random((count, height, width), dtype="float32")


def center_gaussian_maps(count, height, width):
    """The guess "it is in the middle": a Gaussian, float32 (count, height, width), maximum <= 1.

    Its standard deviation is a quarter of each side.
    """
    y, x = (4 * ((np.arange(side) + 0.5) / side - 0.5) for side in (height, width))
    one = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype("float32")
    return np.repeat(one[None], count, axis=0)


def edge_maps(images):
    """The guess "it is where the edges are": the Sobel gradient's magnitude, blurred a little.

    An edge detector knows nothing of the network, yet its maps look convincing (Adebayo et al.
    2018, https://arxiv.org/abs/1810.03292, Section 5): a heatmap has to beat it.

    Args:
        images: uint8 (N, h, w, 3).

    Returns:
        float32 (N, h, w), >= 0. The blur has a standard deviation of a thirty-second of the height.

    Raises:
        ValueError: on images of another kind.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"images must be uint8 (N, h, w, 3), N >= 1, got {images.dtype} {images.shape}."
        )
    maps = []
    for image in images:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype("float32")
        across, down = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        maps.append(cv2.GaussianBlur(np.hypot(across, down), (0, 0), len(image) / 32))
    return np.stack(maps)


class Randomization(NamedTuple):
    """Result of `cascading_randomization`; row s is after stage s."""

    layers: tuple  # str, the lowest layer randomized so far, from the logits down
    correlations: np.ndarray  # float64 (stages, N), rank correlation with the original map


def cascading_randomization(
    model, images, targets=None, layer=None, *, stages=8, batch_size=256, seed=0
):
    """Destroys the learned weights from the top down and watches the maps change.

    Adebayo et al. 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292,
    Section 3. A map that hardly changes when the weights are random explains the image, not the
    model. Works on a copy; the model keeps its weights. Kernels are drawn from He's normal
    distribution, everything else (biases, batch-norm parameters and statistics) goes back to its
    initial value.

    Args:
        model, images, targets, layer, batch_size: as for `utils.gradcam.grad_cam`. The class that
            is explained is that of the original model throughout.
        stages: int >= 2, number of measurements: the first after the logits layer alone, the last
            after all layers, evenly spaced in between.
        seed: int, for the random kernels.

    Returns:
        A `Randomization`. Spearman's correlation, at native resolution; 0 where a map is constant
        (it ranks nothing).

    Raises:
        ValueError: as `grad_cam`, and on fewer than 2 stages.
    """
    if isinstance(stages, bool) or not isinstance(stages, int) or stages < 2:
        raise ValueError(f"stages must be an int >= 2, got {stages!r}.")
    original = GradCAM(model, layer)(images, targets, batch_size=batch_size)
    copy = keras.models.clone_model(model)  # freshly initialized
    top_down = [one for one in reversed(copy.layers) if one.weights]
    rng = np.random.default_rng(seed)
    fresh = {one.name: [_fresh(weight, rng) for weight in one.weights] for one in top_down}
    copy.set_weights(model.get_weights())
    explain = GradCAM(copy, layer)
    ends = np.unique(np.linspace(1, len(top_down), stages).round().astype(int))
    correlations = []
    for start, end in zip([0, *ends], ends, strict=False):
        for one in top_down[start:end]:
            for weight, value in zip(one.weights, fresh[one.name], strict=True):
                weight.assign(value)
        maps = explain(images, original.targets, batch_size=batch_size).maps
        correlations.append([spearman(a, b) for a, b in zip(original.maps, maps, strict=True)])
    return Randomization(tuple(top_down[end - 1].name for end in ends), np.array(correlations))


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
        model, images, targets: as for `utils.gradcam.grad_cam`.

    Returns:
        The largest difference between the two, relative to the largest value: about 1e-7 in
        float32, 1e-2 in bfloat16.

    Raises:
        ValueError: as `grad_cam`, and when the model has another head.
    """
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
    explanation = GradCAM(model)(images, targets)
    trunk = keras.Model(model.inputs[0], before.output)
    activations = trunk.predict(np.asarray(images), batch_size=256, verbose=0).astype("float32")
    kernel = keras.ops.convert_to_numpy(dense.kernel.value)[:, explanation.targets]
    positions = activations.shape[1] * activations.shape[2]
    cam = np.maximum(np.einsum("nhwk,kn->nhw", activations, kernel), 0) / positions
    largest = max(cam.max(), explanation.maps.max())
    return float(np.abs(explanation.maps - cam).max() / largest) if largest > 0 else 0.0


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


def _check_perturbation(images, maps, targets, steps):
    images, maps, targets = np.asarray(images), np.asarray(maps), np.asarray(targets)
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise ValueError(
            f"images must be uint8 (N, h, w, 3), N >= 1, got {images.dtype} {images.shape}."
        )
    if maps.shape != images.shape[:3]:
        raise ValueError(
            f"maps must have shape {images.shape[:3]}, that of the images, got {maps.shape}. "
            'Use grad_cam(..., size="input").'
        )
    if not np.isfinite(maps).all():
        raise ValueError("maps must be finite, got NaN or infinity.")
    if targets.dtype.kind not in "ui" or targets.shape not in ((), (len(images),)):
        raise ValueError(
            f"targets must be an int or {len(images)} ints, got {targets.dtype} of shape "
            f"{targets.shape}."
        )
    pixels = images.shape[1] * images.shape[2]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= pixels:
        raise ValueError(f"steps must be an int from 1 to {pixels} (pixels), got {steps!r}.")
    return images, maps, np.broadcast_to(targets, len(images))


def _baseline(images, baseline):
    if isinstance(baseline, str) and baseline == "blur":
        sigma = images.shape[1] / 8
        return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])
    if isinstance(baseline, str) and baseline == "mean":
        mean = images.mean(axis=(1, 2), keepdims=True)
        return np.broadcast_to(np.rint(mean).astype("uint8"), images.shape)
    if getattr(baseline, "shape", None) == images.shape and baseline.dtype == np.uint8:
        return baseline
    got = baseline if isinstance(baseline, str) else type(baseline).__name__
    raise ValueError(f'baseline must be "blur", "mean" or uint8 {images.shape}, got {got!r}.')


def _probability(predict, images, targets, batch_size):
    """Probability of each image's target, float64 (N,)."""
    starts = range(0, len(images), batch_size)
    parts = [np.asarray(predict(images[at : at + batch_size]), "float64") for at in starts]
    probabilities = np.concatenate(parts)
    if probabilities.ndim != 2 or len(probabilities) != len(images):
        raise ValueError(
            f"predict must return ({len(images)}, classes), got {probabilities.shape}."
        )
    if not (0 <= probabilities.min() <= probabilities.max() <= 1 + 1e-3):
        raise ValueError(
            f"predict must return probabilities, got {probabilities.min()} to "
            f"{probabilities.max()}. Apply keras.ops.softmax to the logits."
        )
    classes = probabilities.shape[1]
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(
            f"targets must be from 0 to {classes - 1}, got {targets.min()} to {targets.max()}."
        )
    return probabilities[np.arange(len(images)), targets]


def _area(fractions, curves):
    """Area below each curve, by the trapezoidal rule."""
    return ((curves[:, 1:] + curves[:, :-1]) / 2) @ np.diff(fractions)


def _fresh(weight, rng):
    """An untrained value for a weight of a freshly initialized model."""
    if len(weight.shape) < 2:
        return keras.ops.convert_to_numpy(weight.value)
    fan_in = np.prod(weight.shape[:-1])
    return rng.normal(0, np.sqrt(2 / fan_in), weight.shape)
