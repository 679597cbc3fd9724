"""Is the map true? Two equations that hold for a head of average pooling and one Dense layer."""

import keras
import numpy as np

from utils.explain.grad_cam import GradCAM, default_layer


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
