"""Maps of many images for a page to choose from: every method, layer and class, as bytes.

A map of 8 x 8 positions is 64 bytes here, so that a page can carry those of hundreds of images and
enlarge them itself, by the rule of `utils.explain.overlay.overlay`.
"""

import difflib
from typing import NamedTuple

import numpy as np

from utils.explain.checks import fixed_batches
from utils.explain.explainer import GradCAM
from utils.explain.graph import Graph
from utils.explain.methods import HOOKS
from utils.explain.overlay import normalize_maps
from utils.progress import progress

METHODS = tuple(HOOKS)  # all but Score-CAM, which asks the network once for every channel
BATCH = 100  # images in one pass: one compilation for each layer


class MapSet(NamedTuple):
    """The maps of n images at one layer."""

    layer: str
    maps: np.ndarray  # uint8 (methods, rows, h, w), 255 is the largest value of each map


class Wanted(NamedTuple):
    """Which classes are to be explained of n images, each pair of image and class once."""

    images: np.ndarray  # int64 (rows,), which of the n images
    classes: np.ndarray  # int64 (rows,)
    rows: np.ndarray  # int64 (n, 3), the row of the predicted, the true and the second class


def choose_images(predictions, class_names, of_class=None, cell=None):
    """Positions of test images: all mistakes, one class, or one cell of the confusion matrix.

    Where there are no mistakes, as with painted shapes, all images take their place.

    Args:
        predictions: `utils.training.evaluation.Predictions`.
        class_names: names of the classes.
        of_class: name of a class, all images of which are taken; or None.
        cell: two names with a comma between, as in "cat,dog": the images of the first class that
            were taken for the second; or None.

    Returns:
        int64 (n,), n >= 1, the most confident prediction first; and what they are, a str.

    Raises:
        ValueError: on a class that does not exist, a cell of another form, both at once, or a
            choice without an image.
    """
    if of_class and cell:
        raise ValueError(
            f"Choose a class or a cell, not both: got class {of_class!r}, cell {cell!r}."
        )
    if cell:
        names = cell.split(",")
        if len(names) != 2:
            raise ValueError(
                f'A cell is two classes, true and predicted, as "cat,dog"; got {cell!r}.'
            )
        true, predicted = (_class_index(name, class_names) for name in names)
        chosen = (predictions.labels == true) & (predictions.predicted == predicted)
        what = f"images of class {class_names[true]} taken for {class_names[predicted]}"
    elif of_class:
        true = _class_index(of_class, class_names)
        chosen, what = predictions.labels == true, f"images of class {class_names[true]}"
    else:
        chosen, what = ~predictions.correct, "mistakes"
        if not chosen.any():
            chosen, what = ~chosen, "images, since there are no mistakes"
    chosen = np.flatnonzero(chosen)
    if not len(chosen):
        raise ValueError(
            f"Among {len(predictions.labels):,} test images there are no {what}. Choose another "
            "class or cell."
        )
    return chosen[np.argsort(-predictions.confidence[chosen], kind="stable")], what


def _class_index(name, class_names):
    name, lower = name.strip(), [one.lower() for one in class_names]
    if name in class_names:
        return list(class_names).index(name)
    if name.lower() not in lower:
        close = difflib.get_close_matches(name.lower(), lower, n=1)
        hint = f"did you mean {class_names[lower.index(close[0])]}? " if close else ""
        raise ValueError(f"Unknown class {name!r}; {hint}Classes: {', '.join(class_names)}.")
    return lower.index(name.lower())


def wanted_classes(predictions):
    """The three classes of each image that a reader may ask about.

    Args:
        predictions: `utils.training.evaluation.Predictions` of n images.

    Returns:
        `Wanted`. Predicted and true class, or true and second class, are often the same one.
    """
    three = np.stack([predictions.predicted, predictions.labels, predictions.second], axis=1)
    number = np.arange(len(three))[:, None]
    pairs, rows = np.unique(number * 10_000 + three, return_inverse=True)
    return Wanted(pairs // 10_000, pairs % 10_000, rows.reshape(three.shape))


def stage_layers(model):
    """The layers worth comparing in a network, last one first: its last map, the end of each stage.

    A stage ends in the last layer of a name such as `stage1_block2_add`, be it in a nested model;
    those of `utils.model.resnet.resnet_v2` and of the residual networks of Keras have such names.

    Returns:
        Dict of layer name to (title, side of its map in positions; None where any image is taken).
    """
    graph = Graph(model)
    last = graph.default_layer()
    spatial = [name for name, (value, _) in graph.names.items() if graph.is_spatial(value)]
    adds = [name for name in spatial if name.endswith("_add")]
    ends = {name.rpartition("/")[2].split("_")[0]: name for name in adds}  # the last of each stage
    titles = {last: "last activation"}
    titles |= {ends[key]: f"end of {key.replace('stage', 'stage ')}" for key in sorted(ends)[::-1]}
    sides = {name: graph.specs[graph.find(name)].shape[1] for name in titles}
    return {name: (text, sides[name]) for name, text in titles.items()}


def make_map_set(model, images, wanted, layer):
    """Computes the maps of all `METHODS` at one layer, in one gradient for all of them.

    Args:
        model: `keras.Model` that ends in logits.
        images: uint8 (n, height, width, 3).
        wanted: `Wanted` of these images.
        layer: name of the layer.

    Returns:
        `MapSet`.
    """
    explain, parts = GradCAM(model, layer, METHODS), []
    batch = min(BATCH, len(wanted.images))
    for rows in progress(fixed_batches(len(wanted.images), batch), f"maps at {layer}: batch"):
        found = explain(images[wanted.images[rows]], wanted.classes[rows], batch_size=batch)
        flat = normalize_maps(found.maps.reshape(-1, *found.maps.shape[2:]))
        parts.append(np.rint(255 * flat).astype("uint8").reshape(found.maps.shape))
    maps = np.concatenate(parts)[: len(wanted.images)]
    return MapSet(layer, np.ascontiguousarray(maps.swapaxes(0, 1)))
