"""Heatmaps with captions for chosen test images: what the galleries are drawn from."""

import numpy as np

from utils.explain.grad_cam import grad_cam
from utils.explain.overlay import normalize_maps, overlay, resize_maps
from utils.explain.photo import center_square
from utils.figures.gallery import Caption, plot_cam_gallery
from utils.figures.grad_cam import plot_cam_methods
from utils.figures.headline import plot_examples
from utils.training.evaluation import first_of_each_class

# How the figure of all methods names them; a contrast is a target, not a method, but looks its own.
METHOD_NAMES = {
    "grad-cam": "Grad-CAM",
    "hires-cam": "HiResCAM",
    "layer-cam": "LayerCAM",
    "grad-cam++": "Grad-CAM++",
    "eigen-cam": "Eigen-CAM",
    "score-cam": "Score-CAM",
}


def explain(model, dataset, predictions, chosen):
    """Explains the predicted class of chosen test images.

    Args:
        model: `keras.Model` that ends in logits.
        dataset: `utils.data.dataset.Dataset`.
        predictions: `utils.training.evaluation.Predictions` of its test images.
        chosen: int (n,), positions of test images, at least one.

    Returns:
        (images, overlays, captions): uint8 (n, 32, 32, 3), a list of n uint8 overlays, a list of
        n `utils.figures.gallery.Caption`; the arguments of `plot_cam_gallery`.
    """
    images, predicted = dataset.x_test[chosen], predictions.predicted[chosen]
    names = np.array(dataset.class_names)
    columns = (names[predictions.labels[chosen]], names[predicted], predictions.confidence[chosen])
    captions = [Caption(str(t), str(p), float(c)) for t, p, c in zip(*columns)]
    return images, _overlays(model, images, predicted), captions


def _overlays(model, images, targets, **options):
    heat = grad_cam(model, images, targets, size=None, **options)
    if images.shape[1] != images.shape[2] or heat.shape[1] != heat.shape[2]:
        heat = normalize_maps(resize_maps(heat, images.shape[1:3]))  # a grid of other proportions
    return [overlay(image, one) for image, one in zip(images, heat)]


def class_gallery(model, dataset, predictions):
    """Figure of the first test image of each class: nobody can have chosen a pretty one.

    Args:
        model, dataset, predictions: as for `explain`.

    Returns:
        `utils.figures.style.Figure`.
    """
    chosen = first_of_each_class(predictions.labels)
    return plot_cam_gallery(*explain(model, dataset, predictions, chosen), columns=5)


def mistake_gallery(model, dataset, predictions, count=12):
    """Figure of the most confident mistakes: why the wrong class, and what spoke for the true one?

    Args:
        model, dataset, predictions: as for `explain`.
        count: int >= 1, how many mistakes at most.

    Returns:
        `utils.figures.style.Figure`, or None when every prediction is right.
    """
    chosen = predictions.worst_mistakes(count)
    if not len(chosen):
        return None
    images, predicted, captions = explain(model, dataset, predictions, chosen)
    true = _overlays(model, images, predictions.labels[chosen])
    pairs = list(zip(predicted, true))
    maps = ("the prediction", "the truth")
    return plot_cam_gallery(images, pairs, captions, columns=3, maps=maps)


def first_look(model, dataset, predictions):
    """Figure for a first look: a right answer, the surest mistake, and why each was given.

    The right answer is that to the first test image that has one, so that nobody can have chosen
    a pretty one. Beside the mistake stands what spoke for the answer, and what for the truth.

    Args:
        model, dataset, predictions: as for `explain`.

    Returns:
        `utils.figures.style.Figure`.
    """
    right = np.flatnonzero(predictions.correct)[:1]
    wrong = predictions.worst_mistakes(1)
    groups = []
    for mark, chosen in (("\u2713 right", right), ("\u2717 wrong", wrong)):
        if not len(chosen):
            continue
        images, [heat], [caption] = explain(model, dataset, predictions, chosen)
        text = f"{mark}: {caption.predicted}, {100 * caption.confidence:.0f} % sure"
        pictures = [("image", images[0]), (f"for {caption.predicted}", heat)]
        if caption.is_wrong:
            [heat] = _overlays(model, images, predictions.labels[chosen])
            text += f"; truth: {caption.truth}"
            pictures.append((f"for {caption.truth}", heat))
        groups.append((text, pictures))
    return plot_examples(groups)


def method_comparison(model, dataset, predictions, chosen):
    """Figure of every method at the default layer, and of the contrast with the second class.

    Args:
        model, dataset, predictions: as for `explain`.
        chosen: int (n,), positions of test images, at least one.

    Returns:
        `utils.figures.style.Figure`.
    """
    images, names = dataset.x_test[chosen], dataset.class_names
    first, second = predictions.predicted[chosen], predictions.second[chosen]
    overlays = {
        name: _overlays(model, images, first, method=method)
        for method, name in METHOD_NAMES.items()
    }
    overlays["Grad-CAM,\ncontrast"] = _overlays(model, images, first, contrast=second)
    rows = [f"{names[a]},\nnot {names[b]}" for a, b in zip(first, second)]
    return plot_cam_methods(images, overlays, rows)


def photo_overlay(photo, heatmap):
    """Draws a map over the whole photo; it covers the central square that the network has seen.

    Args:
        photo: uint8 RGB (H, W, 3), from `utils.explain.photo.load_photo`.
        heatmap: (h, w) in 0..1, the map of the small square image.

    Returns:
        uint8 RGB (H, W, 3).
    """
    top, left, side = center_square(photo)
    square = slice(top, top + side), slice(left, left + side)
    result = photo.copy()
    result[square] = overlay(photo[square], heatmap, size=side)
    return result
