"""What the notebook says about its data, in one sentence of this run's numbers."""

import numpy as np

from utils.text_table import fold_lines


def data_answer(dataset):
    """How many images there are, of each class, and how large one is.

    Args:
        dataset: `utils.data.dataset.Dataset`.

    Returns:
        str, one sentence in lines.
    """
    classes = len(dataset.class_names)
    height, width, channels = dataset.x_train.shape[1:]
    parts = [
        f"{len(labels):,} images to {purpose}, {_range(np.bincount(labels, minlength=classes))} "
        f"of each of the {classes} classes"
        for labels, purpose in ((dataset.y_train, "learn from"), (dataset.y_test, "be tested on"))
    ]
    return fold_lines(
        f"In this run: {', and '.join(parts)}; an image is {height} x {width} pixels with "
        f"{channels} colors, {height * width * channels:,} numbers from 0 to 255."
    )


def _range(counts):
    low, high = counts.min(), counts.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
