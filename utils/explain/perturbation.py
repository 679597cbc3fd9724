"""Is the map true? Insertion and deletion of pixels.

All is plain NumPy and takes maps from any method, as arrays (N, h, w).
"""

from typing import NamedTuple

import cv2
import numpy as np

from utils.text_table import align_columns


class PerturbationCurves(NamedTuple):
    """Result of `insertion_deletion`; areas are means of the curves over the fraction 0..1."""

    fractions: np.ndarray  # float64 (steps + 1,), share of the pixels changed
    insertion: np.ndarray  # float64 (N, steps + 1), probability; high is good
    deletion: np.ndarray  # float64 (N, steps + 1), probability; low is good
    insertion_area: np.ndarray  # float64 (N,)
    deletion_area: np.ndarray  # float64 (N,)


def insertion_deletion(
    predict, images, maps, targets, *, steps=16, baseline="blur", batch_size=1024, seed=0
):
    """Follows the probability of a class while its hottest pixels are shown or taken away.

    Petsiuk et al. 2018, "RISE", https://arxiv.org/abs/1806.07421, Section 4.3. Insertion starts
    from the baseline and restores the pixels of the image from hot to cold; deletion starts from
    the image and goes to the baseline. Pixels of equal heat come in random order, so that a map
    gets no credit for the order in which an array is stored.

    Args:
        predict: callable, uint8 images (n, h, w, 3) to probabilities (n, classes).
        images: uint8 (N, h, w, 3).
        maps: (N, h, w), finite, at image resolution.
        targets: the class to follow, an int or a sequence of N ints.
        steps: int, 1..h*w, number of changes; each changes about h*w/steps pixels.
        baseline: `"blur"` (Gaussian, standard deviation an eighth of the height), `"mean"` (the
            image's mean color) or uint8 images (N, h, w, 3).
        batch_size: int >= 1, the most images that `predict` gets at once.
        seed: int, for the order of equally hot pixels.

    Returns:
        A `PerturbationCurves`.

    Raises:
        ValueError: on inputs that do not fit together, or predictions that are no probabilities.
    """
    images, maps, targets = _check_perturbation(images, maps, targets, steps, batch_size)
    count, height, width, _ = images.shape
    background = _baseline(images, baseline)
    tie_break = np.random.default_rng(seed).random((count, height * width))
    order = np.lexsort((tie_break, -maps.reshape(count, -1)), axis=-1)  # hottest first
    rank = np.argsort(order, axis=-1).reshape(count, height, width, 1)
    changed = np.rint(np.linspace(0, height * width, steps + 1)).astype(int)

    def curve(start, end):
        columns = [
            _probability(predict, np.where(rank < n, end, start), targets, batch_size)
            for n in changed
        ]
        return np.stack(columns, axis=1)

    insertion, deletion = curve(background, images), curve(images, background)
    fractions = changed / (height * width)
    return PerturbationCurves(
        fractions, insertion, deletion, _area(fractions, insertion), _area(fractions, deletion)
    )


class Interval(NamedTuple):
    """A mean over images, and half the width of its 95 % interval (normal approximation)."""

    mean: float
    margin: float


def mean_interval(values):
    """Mean of independent values with its 95 % interval.

    Args:
        values: (N,), N >= 2.

    Returns:
        `Interval`.

    Raises:
        ValueError: on fewer than 2 values: their spread is not known.
    """
    values = np.asarray(values, "float64")
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"values must have shape (N,) with N >= 2, got {values.shape}.")
    return Interval(values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values)))


def perturbation_table(curves):
    """Areas of a method and its baselines, and how far the method is ahead, as lines of text.

    The lead is the mean over images of the difference on the same image: its interval is narrower
    than those of the two areas, because how easy an image is drops out.

    Args:
        curves: dict of name to `PerturbationCurves` of the same images, the method first.

    Returns:
        str; one line a method, `+-` before half the width of the 95 % interval.

    Raises:
        ValueError: on fewer than 2 methods or images, or curves of different images.
    """
    counts = {name: len(one.insertion_area) for name, one in curves.items()}
    if len(curves) < 2 or len(set(counts.values())) != 1:
        raise ValueError(
            f"A table compares two methods or more on the same images, got images {counts}."
        )
    method, *_ = curves
    rows = [("", "insertion area", "ahead by", "deletion area", "ahead by")]
    for name, one in curves.items():
        cells = [name]
        for field, sign in (("insertion_area", 1), ("deletion_area", -1)):
            area = getattr(one, field)
            cells.append("{:.3f} +- {:.3f}".format(*mean_interval(area)))
            lead = sign * (getattr(curves[method], field) - area)
            cells.append("" if name == method else "{:+.3f} +- {:.3f}".format(*mean_interval(lead)))
        rows.append(cells)
    return align_columns(rows)


def _check_perturbation(images, maps, targets, steps, batch_size):
    images, targets = np.asarray(images), np.asarray(targets)
    maps = np.asarray(maps, "float64")  # unsigned numbers have no negative, which ranks them below
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"images must be uint8 (N, h, w, 3), N >= 1, got {images.dtype} {images.shape}."
        )
    if maps.shape != images.shape[:3]:
        raise ValueError(
            f"maps must have shape {images.shape[:3]}, that of the images, got {maps.shape}. "
            'Use grad_cam(..., size="input").'
        )
    if not np.isfinite(maps).all():
        raise ValueError("maps must be finite, got NaN or infinity.")
    if targets.dtype.kind not in "ui" or targets.shape not in ((), (len(images),)):
        raise ValueError(
            f"targets must be an int or {len(images)} ints, got {targets.dtype} of shape "
            f"{targets.shape}."
        )
    pixels = images.shape[1] * images.shape[2]
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= pixels:
        raise ValueError(f"steps must be an int from 1 to {pixels} (pixels), got {steps!r}.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be an int >= 1, got {batch_size!r}.")
    return images, maps, np.broadcast_to(targets, len(images))


def _baseline(images, baseline):
    if isinstance(baseline, str) and baseline == "blur":
        sigma = images.shape[1] / 8
        return np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in images])
    if isinstance(baseline, str) and baseline == "mean":
        mean = images.mean(axis=(1, 2), keepdims=True)
        return np.broadcast_to(np.rint(mean).astype("uint8"), images.shape)
    if getattr(baseline, "shape", None) == images.shape and baseline.dtype == np.uint8:
        return baseline
    got = baseline if isinstance(baseline, str) else type(baseline).__name__
    raise ValueError(f'baseline must be "blur", "mean" or uint8 {images.shape}, got {got!r}.')


def _probability(predict, images, targets, batch_size):
    """Probability of each image's target, float64 (N,)."""
    starts = range(0, len(images), batch_size)
    parts = [np.asarray(predict(images[at : at + batch_size]), "float64") for at in starts]
    probabilities = np.concatenate(parts)
    if probabilities.ndim != 2 or len(probabilities) != len(images):
        raise ValueError(
            f"predict must return ({len(images)}, classes), got {probabilities.shape}."
        )
    if not (0 <= probabilities.min() <= probabilities.max() <= 1 + 1e-3):
        raise ValueError(
            f"predict must return probabilities, got {probabilities.min()} to "
            f"{probabilities.max()}. Apply keras.ops.softmax to the logits."
        )
    classes = probabilities.shape[1]
    if targets.min() < 0 or targets.max() >= classes:
        raise ValueError(
            f"targets must be from 0 to {classes - 1}, got {targets.min()} to {targets.max()}."
        )
    return probabilities[np.arange(len(images)), targets]


def _area(fractions, curves):
    """Area below each curve, by the trapezoidal rule."""
    return ((curves[:, 1:] + curves[:, :-1]) / 2) @ np.diff(fractions)
