"""A data set of noise with the classes of CIFAR-10: enough to train on where nothing is learned."""

import numpy as np

from utils.data.dataset import CIFAR10_CLASSES, Dataset


def noise(train, test):
    """Random images, the classes in turn."""
    images = np.random.default_rng(0).integers(0, 256, (train + test, 32, 32, 3), dtype="uint8")
    labels = np.arange(train + test) % 10
    parts = images[:train], labels[:train], images[train:], labels[train:]
    return Dataset(*parts, CIFAR10_CLASSES, "noise")
