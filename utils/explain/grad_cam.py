"""Class-activation maps: where in the image did the network find its class?

Grad-CAM after Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", https://arxiv.org/abs/1610.02391. The gradient is that of the logit,
not of the softmax probability, see `utils.explain.logits`.

The model is cut at the explained layer. Only what lies behind it is differentiated; what lies
before it is a plain forward pass, so a map costs little more than a prediction.

This module is the entrance: it chooses layer, method and explainer (`utils.explain.explainer`,
`utils.explain.score_cam`).
"""

import weakref

import keras
import numpy as np

from utils.explain.checks import is_int, to_array
from utils.explain.explainer import GradCAM
from utils.explain.graph import Graph
from utils.explain.methods import HOOKS
from utils.explain.overlay import normalize_maps, resize_maps
from utils.explain.score_cam import ScoreCAM

METHODS = (*HOOKS, "score-cam")

# Explainers by model, layer and method, so that a second call compiles nothing. The keys are
# weak and the values do not refer to the model: the entry goes when the model goes. Beside each
# stand the layers that it knows, so that a model that has got others is compiled again.
_EXPLAINERS = weakref.WeakKeyDictionary()


def default_layer(model):
    """Names the layer that Grad-CAM explains by default.

    It is the last one with a map of more than 1x1 positions that every path from input to output
    passes: not inside a branch, no padding. In a pre-activation ResNet that is the BN + ReLU
    *after* the last Add, whose output the classifier pools. The last Conv2D, a common choice, lies
    inside the last residual branch and misses what the shortcut carries.

    Args:
        model: a functional or built sequential `keras.Model` with one image input.

    Returns:
        The name, a str, which `grad_cam(..., layer=name)` takes. What Keras finds by it:
        "relu" is `model.get_layer("relu")`. "backbone/relu", of a nested model, is
        `model.get_layer("backbone").get_layer("relu")`. "relu#2" is the second call of the layer
        "relu", or its second value. An operation that is no layer, such as the x + y in which a
        ConvNeXt ends, is unknown to `get_layer`; it is
        `next(one for one in model.operations if one.name == name)`.

    Raises:
        ValueError: when the model has no graph, or no map worth explaining: all are 1x1, lie in
            branches, or stand before tokens, as in a Vision Transformer, or before a layer that
            convolves and pools inside.
    """
    return Graph(model).default_layer()


def grad_cam(
    model,
    images,
    targets=None,
    layer=None,
    *,
    method="grad-cam",
    contrast=None,
    signed=False,
    batch_size=256,
    size="input",
    normalize=True,
):
    """Computes a class-activation map for each image.

    Compiled once for each model, layer and method, for later calls, too, and anew where an
    attribute of a layer has changed (`model.predict` goes on with the old one); see `LayerState` in
    `utils.explain.layer_state` for what is not seen. `GradCAM` gives the logits as well.

    Args:
        model: functional or built sequential `keras.Model`, one image input, one output (batch,
            classes); its layers may be nested in other models. Where it ends in probabilities,
            the logits before them are explained; the model is not changed. One output column
            stands for two classes, 0 and 1, and so do two columns made of one sigmoid.
        images: (N, height, width, channels), an array, a tensor or a list of images, uint8 or
            float, in the units of the model's input: 0..255 for the models of this course. Floats
            are rounded if the model takes whole numbers.
        targets: what to explain. None: the predicted class of each image; an int: one class for
            all images; a sequence of N ints: a class for each image; or a callable, logits
            (n, classes) to scores (n,) of `keras.ops`, which is compiled for this call alone.
            Of one column, None explains the predicted side of 0. A regression of one number has no
            sides: there 1 asks what raises the number, 0 what lowers it, and None one or the other
            by the sign of the prediction.
        layer: name of the layer to explain, or the layer, by default `default_layer(model)`; or a
            list of them, whose maps are resized, normalized and averaged.
        method: `"grad-cam"`, `"hires-cam"`, `"layer-cam"`, `"grad-cam++"` or `"eigen-cam"`, see
            `utils.explain.methods`; or `"score-cam"`, see `utils.explain.score_cam`.
        contrast: why the target and not this class? An int, or a sequence of N ints, whose logit is
            subtracted from that of the target. Not with Eigen-CAM, which asks for no class, and
            not with Score-CAM.
        signed: bool, keep what speaks against the target as negative values, instead of ReLU.
        batch_size: int >= 1, the most images in one pass.
        size: `"input"` resizes maps to the image size, None keeps the layer's resolution, an int
            gives square maps of that side, (height, width) any others. Bilinear, as in the paper.
        normalize: divide each map by its largest absolute value. A map that is zero everywhere
            (nothing speaks for the class) stays zero.

    Returns:
        float32 (N, h, w); unless `signed`, >= 0; with `normalize` from -1 to 1.

    Raises:
        ValueError: on images, targets, method or layer that do not fit, a model without a graph,
            probabilities from which no way leads back to logits, or maps that are not finite.
    """
    pair = isinstance(size, (list, tuple)) and len(size) == 2 and all(is_int(s, 1) for s in size)
    if not (size is None or pair or is_int(size, 1) or (isinstance(size, str) and size == "input")):
        raise ValueError(
            f'size must be "input", None, an int >= 1 or (height, width), got {size!r}.'
        )
    if isinstance(layer, (list, tuple)):
        if not layer or size is None or not normalize:
            raise ValueError(
                f"Maps of several layers are averaged after resizing and normalizing: pass at "
                f"least one layer, a size and normalize=True, got {len(layer)} layers, "
                f"size={size!r}, normalize={normalize!r}."
            )
        options = {"method": method, "contrast": contrast, "signed": signed}
        options |= {"batch_size": batch_size, "size": size}
        each = [grad_cam(model, images, targets, name, **options) for name in layer]
        return normalize_maps(np.mean(each, axis=0))
    explain = _explainer(model, layer, method, targets)
    images = to_array(images, "images")
    wanted = None if callable(targets) else targets
    maps = explain(images, wanted, contrast=contrast, signed=signed, batch_size=batch_size).maps
    if size == "input" and images.ndim < 3:
        raise ValueError(
            f"Images of shape {images.shape} have no height and width to resize maps to: give "
            "size=(height, width), or size=None for the resolution of the layer."
        )
    if size is not None:
        side = images.shape[1:3] if size == "input" else size if pair else (size, size)
        maps = resize_maps(maps, side)
    return normalize_maps(maps) if normalize else maps


def _explainer(model, layer, method, targets):
    """The compiled explainer; only those without a function of the caller are kept."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")
    if callable(targets) and method in ("eigen-cam", "score-cam"):
        raise ValueError(
            f"{method} explains no function of the logits: Eigen-CAM asks for no class, Score-CAM "
            'for a probability. Use a method that takes gradients, such as "grad-cam".'
        )
    if callable(targets):
        return GradCAM(model, layer, method, score=targets)
    if not isinstance(model, keras.Model) or not isinstance(layer, (str, keras.Layer, type(None))):
        return ScoreCAM(model, layer) if method == "score-cam" else GradCAM(model, layer, method)
    kept, parts = _EXPLAINERS.setdefault(model, {}), _layers(model)
    if (layer, method) not in kept or kept[layer, method][0] != parts:
        one = ScoreCAM(model, layer) if method == "score-cam" else GradCAM(model, layer, method)
        kept[layer, method] = parts, one
    return kept[layer, method][1]


def _layers(model):
    """The layers of a model, nested models opened: a `Sequential` may get and lose some."""
    return [_layers(one) if isinstance(one, keras.Model) else one for one in model.layers]
