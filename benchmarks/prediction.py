"""Prediction of many images, ours and Keras's own; makers for `benchmarks.workers`."""

from benchmarks.training import random_images, recipe_model
from utils.training.evaluation import predict_logits


def ours(clock, depth, count):
    """`predict_logits`, which the notebook and the records use."""
    images, _ = random_images(count)
    model = recipe_model(clock, depth, 128, images)
    clock.repeat(lambda: predict_logits(model, images))


def keras_predict(clock, depth, count):
    """`model.predict` on an array, as in Keras's guides, with batches as large as ours."""
    images, _ = random_images(count)
    model = recipe_model(clock, depth, 128, images)
    clock.repeat(lambda: model.predict(images, batch_size=500, verbose=0))
