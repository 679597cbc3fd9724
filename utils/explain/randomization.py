"""Is the map true? It must change with the weights: cascading randomization.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292.
"""

from typing import NamedTuple

import keras
import numpy as np

from utils.explain.checks import is_int, to_array
from utils.explain.explainer import GradCAM
from utils.explain.keras_graph import parts_of
from utils.progress import progress


class Randomization(NamedTuple):
    """Result of `cascading_randomization`; its arrays have a row for each draw of random weights.

    What images share is the draw, so only several draws show how much of a correlation is chance:
    the spread over images of one draw does not.
    """

    layers: tuple  # str, the lowest layer randomized so far, from the logits down: one a stage
    correlations: np.ndarray  # float64 (draws, stages, N), rank correlation with the original map
    constant: np.ndarray  # bool (draws, stages, N), maps without any rank; they correlate with 0


def cascading_randomization(
    model,
    images,
    targets=None,
    layer=None,
    *,
    method="grad-cam",
    stages=8,
    draws=5,
    batch_size=256,
    seed=0,
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
        draws: int >= 1, how many times all this is done, each with random weights of its own.
        seed: int, of the random weights of the first draw, see `randomized`; the next ones have
            the next seeds.

    Returns:
        A `Randomization`. Spearman's correlation, at native resolution; 0 where a map is constant
        (it ranks nothing).

    Raises:
        ValueError: as `grad_cam`, on fewer than 2 stages or no draw, and when a copy of the model
            gives other maps than the model itself.
    """
    for name, value, least in (("stages", stages, 2), ("draws", draws, 1)):
        if not is_int(value, least):
            raise ValueError(f"{name} must be an int >= {least}, got {value!r}.")
    original = GradCAM(model, layer, method)(images, targets, batch_size=batch_size)
    copy, trained = _copy(model), model.get_weights()
    copy.set_weights(trained)
    explain = GradCAM(copy, layer, method)
    again = explain(images, original.targets, batch_size=batch_size)
    if not np.allclose(again.logits, original.logits, rtol=1e-2, atol=1e-2):
        raise ValueError(
            f"A copy of the model {model.name!r}, made from its configuration and its weights, "
            "gives other logits: a layer has a state that is in neither. Put it into get_config, "
            "or into a weight (add_weight)."
        )
    maps = []
    for draw in progress(range(draws), "random weights: draw"):
        copy.set_weights(trained)
        pairs = zip(
            _layers_with_weights(copy), _layers_with_weights(randomized(model, seed + draw))
        )
        top_down = [(one, other) for one, other in pairs if one[1] is not other[1]][::-1]
        ends = np.unique(np.linspace(1, len(top_down), stages).round().astype(int))
        for start, end in zip([0, *ends], ends, strict=False):
            for (_, one), (_, other) in top_down[start:end]:
                one.set_weights(other.get_weights())
            maps.append(explain(images, original.targets, batch_size=batch_size).maps)
    found = [[spearman(*pair) for pair in zip(original.maps, one, strict=True)] for one in maps]
    constant = [np.ptp(one, axis=(1, 2)) == 0 for one in maps]
    names = tuple(top_down[end - 1][0][0] for end in ends)
    shape = (draws, len(ends), len(original.maps))
    return Randomization(names, np.reshape(found, shape), np.reshape(constant, shape))


def _layers_with_weights(model, parents=()):
    """(name, layer) of each layer with weights, nested models opened, in the order of Keras."""
    found = []
    for layer in model.layers:
        path = (*parents, layer.name)
        if isinstance(layer, keras.Model):
            found += _layers_with_weights(layer, path)
        elif layer.weights:
            found.append(("/".join(path), layer))
    return found


def randomized(model, seed=0):
    """A copy of a model that has learned nothing: what is left of a result then is chance.

    Kernels are drawn from He's normal distribution (He et al. 2015, arXiv 1502.01852, Eq. 10),
    everything else (biases, batch-norm parameters and statistics, the slopes of a PReLU) has its
    initial value.

    Args:
        model: functional or sequential `keras.Model`; it keeps its weights.
        seed: int.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: when a layer with weights cannot be rebuilt from its configuration, or has
            kernels of whole numbers (quantized).
    """
    for name, layer in _layers_with_weights(model):
        if any("int" in weight.dtype and len(weight.shape) >= 2 for weight in layer.weights):
            raise ValueError(
                f"Layer {name!r} is quantized: of its whole numbers and their scale no random "
                "kernels are drawn. Take the model as it was before model.quantize(...)."
            )
    copy, rng = _copy(model), np.random.default_rng(seed)
    shared = {id(weight) for weight in model.weights}
    parts = [part for _, layer in _layers_with_weights(copy) for part in parts_of(layer)]
    one_channel = {id(w) for part in parts for w in part.weights if _is_depthwise(part, w)}
    slopes = {id(w) for part in parts if isinstance(part, keras.layers.PReLU) for w in part.weights}
    for weight in copy.weights:
        if len(weight.shape) >= 2 and id(weight) not in shared | slopes:
            inputs = weight.shape[: -2 if id(weight) in one_channel else -1]
            weight.assign(rng.normal(0, np.sqrt(2 / np.prod(inputs)), weight.shape))
    return copy


def _is_depthwise(layer, weight):
    """Whether each number that a kernel makes comes from one channel, not from all."""
    depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
    return weight.name == "depthwise_kernel" or (
        isinstance(layer, depthwise) and weight.name == "kernel"
    )


def _copy(model):
    """A copy with fresh weights; layers without any are shared where they cannot be rebuilt.

    So is a `Normalization`: what it has adapted to is the data, and is not learned in training.
    """

    def rebuild(layer):
        if isinstance(layer, keras.layers.Normalization):
            return layer
        try:
            return type(layer).from_config(layer.get_config())
        except Exception as error:  # a Lambda, or a layer of the user whose get_config is missing
            if not layer.weights:
                return layer
            raise ValueError(
                f"Layer {layer.name!r} cannot be rebuilt from its configuration, which a copy "
                "needs: give its class a get_config that returns every argument of __init__."
            ) from error

    return keras.models.clone_model(model, clone_function=rebuild, recursive=True)


def spearman(first, second):
    """Spearman's rank correlation of two arrays of one size, ties with their mean rank.

    A float in -1..1, 0 if one of them is constant.

    Raises:
        ValueError: on other than finite numbers, or two sizes.
    """
    first, second = to_array(first, "first"), to_array(second, "second")
    if first.size != second.size or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(
            f"Two arrays of finite numbers and of one size are wanted, got {first.shape} and "
            f"{second.shape}."
        )
    ranks = []
    for values in (first, second):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        mean_rank = np.cumsum(counts) - (counts - 1) / 2
        ranks.append(mean_rank[inverse.reshape(-1)] - (np.size(values) + 1) / 2)
    a, b = ranks
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0
