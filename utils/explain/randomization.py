"""Is the map true? It must change with the weights: cascading randomization.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292.
"""

from typing import NamedTuple

import keras
import numpy as np

from utils.explain.explainer import GradCAM


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
