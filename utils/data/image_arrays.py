"""Checks of images and labels that come from outside: one clear error for each wrong form."""

import numpy as np

ROUNDING = 0.01  # by which a pixel that was averaged or blurred may leave 0..255


def check_images(images, shape=None):
    """Refuses what is no array of raw pixels.

    Args:
        images: array-like (n, height, width, channels), whole numbers or floats in 0..255, n >= 1.
        shape: (height, width, channels) that a model takes, with None for any size, or None.

    Returns:
        The images, an array.

    Raises:
        ValueError: for another form, other shapes, what is no number, pixels in 0..1 or outside of
            0..255, or NaN.
    """
    if not hasattr(images, "shape") and not isinstance(images, (list, tuple)):
        raise ValueError(
            f"Received a {type(images).__name__} where images are wanted; pass one array "
            f"(n, height, width, channels) of them. A data set or a generator can be read into "
            f"one with np.concatenate([x for x, _ in batches])."
        )
    if not hasattr(images, "shape"):
        try:
            images = np.asarray(images)
        except ValueError:  # several shapes
            shapes = sorted({np.shape(image) for image in images})
            raise ValueError(
                f"Received images of the shapes {', '.join(map(str, shapes[:3]))}; all must have "
                f"one. Resize them to that of the model."
            ) from None
    fits = shape is None or all(want in (None, got) for want, got in zip(shape, images.shape[1:]))
    if len(images.shape) != 4 or not fits or 0 in images.shape:
        wanted = "height, width, channels" if shape is None else ", ".join(map(str, shape))
        raise ValueError(
            f"Received images of shape {tuple(images.shape)}; the shape must be (n, {wanted}), "
            f"with at least 1 image. A single image becomes a batch by image[None]."
        )
    kind = np.asarray(images[:1]).dtype
    if kind.kind not in "uif":
        raise ValueError(
            f"Received images of {kind}; pixels are numbers. Pass them as uint8 or float32."
        )
    if kind != np.uint8:
        values = np.asarray(images)
        low, high = values.min(), values.max()
        if not (low >= -ROUNDING and high <= 255 + ROUNDING):  # NaN, too
            raise ValueError(
                f"Received images of {kind} from {low:g} to {high:g}; the network takes raw "
                "pixels, 0..255, and normalizes them itself. Pass the pixels as they were read."
            )
        if high <= 1 and (values % 1).any():
            raise ValueError(
                f"Received images of {kind} in 0..1; the network takes raw pixels, 0..255, and "
                'normalizes them itself. Pass (images * 255).round().astype("uint8").'
            )
    return images


def check_labels(labels, count, classes=None):
    """Refuses what is no class index for each of `count` images.

    Args:
        labels: whole numbers, (n,) or (n, 1) as in `keras.datasets`.
        count: int, the number of images.
        classes: int, or None when any number of classes will do.

    Returns:
        int64 (n,).

    Raises:
        ValueError: for one-hot labels, names, another number of them, or an index outside of the
            classes.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"Received labels of shape {labels.shape}; pass one class index an image. One-hot "
            f"labels become indices by labels.argmax(axis=1)."
        )
    if labels.dtype.kind not in "iubf":
        raise ValueError(
            f"Received labels such as {labels[:1].tolist()}; class indices are whole numbers. "
            f"Names become indices by [class_names.index(name) for name in labels]."
        )
    if len(labels) != count:
        raise ValueError(f"{count} images but {len(labels)} labels; give one label an image.")
    if labels.dtype.kind not in "iub" and not (labels % 1 == 0).all():
        raise ValueError(f"Received labels of {labels.dtype}; class indices are whole numbers.")
    if labels.min() < 0 or (classes is not None and labels.max() >= classes):
        limit = "0 or more" if classes is None else f"from 0 to {classes - 1}"
        raise ValueError(
            f"Received labels from {labels.min()} to {labels.max()}; they must be {limit}."
        )
    return labels.astype("int64")
