"""Heatmaps with captions for chosen test images: what a gallery is drawn from."""

import numpy as np

from utils.evaluation import first_of_each_class
from utils.gradcam import grad_cam
from utils.overlay import overlay
from utils.plots_gradcam import Caption, plot_cam_gallery


def explain(model, dataset, predictions, chosen):
    """Explains the predicted class of chosen test images.

    Args:
        model: `keras.Model` that ends in logits.
        dataset: `utils.data.Dataset`.
        predictions: `utils.evaluation.Predictions` of its test images.
        chosen: int (n,), positions of test images, at least one.

    Returns:
        (images, overlays, captions): uint8 (n, 32, 32, 3), a list of n uint8 overlays, a list of
        n `utils.plots_gradcam.Caption`; the arguments of `plot_cam_gallery`.
    """
    images, predicted = dataset.x_test[chosen], predictions.predicted[chosen]
    heat = grad_cam(model, images, predicted, size=None)
    names = np.array(dataset.class_names)
    columns = (names[predictions.labels[chosen]], names[predicted], predictions.confidence[chosen])
    captions = [Caption(str(t), str(p), float(c)) for t, p, c in zip(*columns)]
    return images, [overlay(image, one) for image, one in zip(images, heat)], captions


def class_gallery(model, dataset, predictions):
    """Figure of the first test image of each class: nobody can have chosen a pretty one.

    Args:
        model, dataset, predictions: as for `explain`.

    Returns:
        `utils.figures.Figure`.
    """
    chosen = first_of_each_class(predictions.labels)
    return plot_cam_gallery(*explain(model, dataset, predictions, chosen), columns=5)
