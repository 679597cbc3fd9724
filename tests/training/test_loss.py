"""The loss against its formula."""

import keras
import numpy as np
import pytest

from utils.training.loss import SmoothedCrossentropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_smoothed_cross_entropy(smoothing):
    logits = np.random.default_rng(0).normal(size=(6, 10)).astype("float32")
    labels = np.array([0, 3, 9, 9, 1, 2])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.eye(10)[labels] * (1 - smoothing) + smoothing / 10
    expected = -(targets * np.log(probabilities)).sum(1).mean()
    loss = SmoothedCrossentropy(smoothing)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(labels[:, None], logits)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_computed_in_float32_whatever_keras_prefers():
    before = keras.config.floatx()
    keras.config.set_floatx("float16")
    try:
        loss = SmoothedCrossentropy()(np.array([0]), np.array([[1e-3, 0.0]], "float32"))
    finally:
        keras.config.set_floatx(before)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
