"""Is the map true? Two equations that hold for a head of average pooling and one Dense layer."""

import keras
import numpy as np
from keras import layers

from utils.explain.checks import fixed_batches
from utils.explain.compiled import compile_forward
from utils.explain.explainer import GradCAM
from utils.explain.graph import Graph
from utils.explain.image_checks import images_for_model
from utils.explain.keras_graph import needed
from utils.explain.logits import find_logits


def cam_identity_gap(model, images, targets=None):
    """Compares Grad-CAM with a closed form that needs no gradient.

    For a head of global average pooling and one Dense layer, Grad-CAM is the class-activation map
    (Zhou et al. 2016, https://arxiv.org/abs/1512.04150) divided by the number of positions Z:
    ReLU(sum_k w_k A_k) / Z, since d logit / d A_k = w_k / Z everywhere.

    Args:
        model, images: as for `utils.explain.grad_cam.grad_cam`.
        targets: None, an int or N ints.

    Returns:
        The largest difference between the two, relative to the largest value: about 1e-7 in
        float32, 1e-2 in bfloat16.

    Raises:
        ValueError: as `grad_cam`, and when the model has another head.
    """
    graph = Graph(model)
    value, dense = _pooling_head(graph)
    explanation = GradCAM(model)(images, targets)
    images = images_for_model(images, *graph.input)
    run = compile_forward(needed(graph.calls, value), graph.specs[0], [value])
    batches = fixed_batches(len(images), graph.input.shape[0] or 256)
    activations = np.concatenate([run(images[rows])[0] for rows in batches])[: len(images)]
    activations = activations.astype("float32")
    kernel = _two_sided(keras.ops.convert_to_numpy(dense.kernel))[:, explanation.targets]
    positions = activations.shape[1] * activations.shape[2]
    cam = np.maximum(np.einsum("nhwk,kn->nhw", activations, kernel), 0) / positions
    return _relative(explanation.maps - cam, max(cam.max(), explanation.maps.max()))


def completeness_gap(model, images, targets=None):
    """Checks that nothing is missing from a map: its signed values and the bias are the logit.

    Draelos and Carin 2020, https://arxiv.org/abs/2011.08891: for a head that is linear
    in the activations, the signed HiResCAM map distributes the logit over the positions. Behind
    global average pooling Grad-CAM's map is the same, and it is the one that is checked.

    Args:
        model, images: as for `utils.explain.grad_cam.grad_cam`.
        targets: None, an int or N ints.

    Returns:
        The largest difference between the sum of a map plus the bias and the logit, relative to
        the largest logit: about 1e-6 in float32, 1e-2 in bfloat16.

    Raises:
        ValueError: as `cam_identity_gap`.
    """
    _, dense = _pooling_head(Graph(model))
    explanation = GradCAM(model)(images, targets, signed=True)
    chosen = np.arange(len(explanation.targets)), explanation.targets
    bias = np.zeros((1, dense.units), "float32")
    if dense.use_bias:
        bias = bias + keras.ops.convert_to_numpy(dense.bias)
    total = explanation.maps.sum(axis=(1, 2)) + _two_sided(bias)[0, explanation.targets]
    logits = _two_sided(explanation.logits)
    return _relative(total - logits[chosen], np.abs(logits).max())


def _relative(differences, largest):
    """The largest difference, relative to the largest value; where all are 0, so is this."""
    return float(np.abs(differences).max() / largest) if largest > 0 else 0.0


def _two_sided(columns):
    """(n, classes); a single column z stands for two classes with -z and z."""
    return np.concatenate([-columns, columns], axis=1) if columns.shape[1] == 1 else columns


def _pooling_head(graph):
    """The explained value and the Dense layer of a model with global average pooling in between."""
    name, head = graph.default_layer(), find_logits(graph)
    value = graph.find(name)
    dropout = [call for call in head.calls if isinstance(call.operation, layers.Dropout)]
    source = {call.outputs[0]: call.inputs[0] for call in dropout}  # the same but in training
    behind = [call for call in head.calls[::-1] if call.outputs[0] not in source]
    dense, pool = (getattr(call.operation, "layer", call.operation) for call in behind[:2])
    pooled = behind[1].inputs[0]
    while pooled in source:
        pooled = source[pooled]
    if not (
        isinstance(pool, layers.GlobalAveragePooling2D)
        and isinstance(dense, layers.Dense)
        and (pooled, *behind[1].inputs[1:]) == (value,)
    ):
        raise ValueError(
            f"The identity holds for a model that ends in {name!r}, global average pooling and one "
            f"Dense layer of logits; this one ends in {behind[1].path!r}, {behind[0].path!r}."
        )
    return value, dense
