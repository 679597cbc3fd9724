"""Is the map true? Insertion and deletion of pixels.

All is plain NumPy and takes maps from any method, as arrays (N, h, w).
"""

from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from utils.explain.checks import check_batch_size, fixed_batches, is_int, to_array, to_images
from utils.progress import progress
from utils.text_table import align_columns


class PerturbationCurves(NamedTuple):
    """Result of `insertion_deletion`; areas are means of the curves over the fraction 0..1."""

    fractions: np.ndarray  # float64 (steps + 1,), share of the pixels changed
    insertion: np.ndarray  # float64 (N, steps + 1), probability; high is good
    deletion: np.ndarray  # float64 (N, steps + 1), probability; low is good
    insertion_area: np.ndarray  # float64 (N,)
    deletion_area: np.ndarray  # float64 (N,)


def insertion_deletion(
    predict,
    images,
    maps,
    targets,
    *,
    steps=16,
    baseline="blur",
    batch_size=1024,
    seed=0,
):
    """Follows the probability of a class while its hottest pixels are shown or taken away.

    Petsiuk et al. 2018, "RISE", https://arxiv.org/abs/1806.07421, causal metrics. Insertion starts
    from the baseline and restores the pixels of the image from hot to cold; deletion starts from
    the image and goes to the baseline. Pixels of equal heat come in random order, so that a map
    gets no credit for the order in which an array is stored.

    Image and baseline, the two ends of every curve, are predicted once for all maps.

    Args:
        predict: callable, images (n, h, w, channels) to probabilities (n, classes); or (n, 1), the
            probability of class 1 of two. It gets batches of one size.
        images: (N, h, w, channels), uint8 or float.
        maps: (N, h, w), finite, at image resolution; or a dict of name to such maps.
        targets: the class to follow, an int or a sequence of N ints.
        steps: int, 1..h*w, number of changes; each changes about h*w/steps pixels.
        baseline: `"blur"` (Gaussian, standard deviation an eighth of the height), `"mean"` (the
            image's mean color) or images of the same shape and dtype.
        batch_size: int >= 1, the most images that `predict` gets at once.
        seed: int, for the order of equally hot pixels.

    Returns:
        A `PerturbationCurves`; for a dict of maps a dict of name to `PerturbationCurves`.

    Raises:
        ValueError: on inputs that do not fit together, or predictions that are no probabilities.
    """
    named = maps if isinstance(maps, dict) else {"": maps}
    images, named, targets = _check_perturbation(predict, images, named, targets, steps, batch_size)
    pixels = images.shape[1] * images.shape[2]
    background = _baseline(images, baseline)
    changed = np.rint(np.linspace(0, pixels, steps + 1)).astype(int)
    jobs = [lambda: background, lambda: images]
    for one in named.values():
        rank = _ranks(one, seed)
        for start, end in ((background, images), (images, background)):
            jobs += [partial(_mixture, rank, n, start, end) for n in changed[1:-1]]
    found = iter(_probabilities(predict, jobs, targets, batch_size))
    hidden, shown = next(found), next(found)
    curves, fractions = {}, changed / pixels
    for name in named:
        insertion, deletion = (
            np.stack([first, *(next(found) for _ in changed[1:-1]), last], axis=1)
            for first, last in ((hidden, shown), (shown, hidden))
        )
        areas = _area(fractions, insertion), _area(fractions, deletion)
        curves[name] = PerturbationCurves(fractions, insertion, deletion, *areas)
    return curves if isinstance(maps, dict) else curves[""]


def _ranks(maps, seed):
    """Position of each pixel in the order from hot to cold, int (N, h, w, 1)."""
    flat = maps.reshape(len(maps), -1)
    tie_break = np.random.default_rng(seed).random(flat.shape)
    order = np.lexsort((tie_break, -flat), axis=-1)
    return np.argsort(order, axis=-1).reshape(*maps.shape, 1)


def _mixture(rank, count, start, end):
    """`start` with its `count` hottest pixels taken from `end`."""
    return np.where(rank < count, end, start)


def _probabilities(predict, jobs, targets, batch_size):
    """Probabilities of the targets for each job, a list of float64 (N,).

    Jobs are functions that give N images. As many as fit go into one batch; all batches have one
    size, the last one filled up, so that a compiled `predict` is compiled once.
    """
    count = len(targets)
    together = max(1, min(batch_size // count, len(jobs)))
    size, results = min(batch_size, together * count), []
    for start in progress(range(0, len(jobs), together), "insertion and deletion: batch"):
        chosen = jobs[start : start + together]
        images = np.concatenate([job() for job in chosen])
        parts = [_call(predict, images[rows]) for rows in fixed_batches(len(images), size)]
        every = np.concatenate(parts)[: len(images)]
        if targets.min() < 0 or targets.max() >= every.shape[1]:
            raise ValueError(
                f"targets must be from 0 to {every.shape[1] - 1}, got {targets.min()} to "
                f"{targets.max()}."
            )
        wanted = np.tile(targets, len(chosen))
        results += np.split(every[np.arange(len(every)), wanted], len(chosen))
    return results


def _call(predict, images):
    """Probabilities of a batch, float64 (n, classes), with two classes at least."""
    found = to_array(predict(images), "what predict returns").astype("float64")
    if found.ndim != 2 or len(found) != len(images):
        raise ValueError(f"predict must return ({len(images)}, classes), got {found.shape}.")
    if not (0 <= found.min() <= found.max() <= 1 + 1e-3):
        raise ValueError(
            f"predict must return probabilities, got {found.min()} to {found.max()}. Apply "
            "keras.ops.softmax to the logits, or keras.ops.sigmoid to a single one."
        )
    return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found


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
    values = to_array(values, "values").astype("float64")
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
        ValueError: on no dict, fewer than 2 methods or images, or curves of different images.
    """
    if not isinstance(curves, dict):
        raise ValueError(
            f"curves must be a dict of name to PerturbationCurves, got {type(curves).__name__}."
        )
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


def _check_perturbation(predict, images, maps, targets, steps, batch_size):
    if not callable(predict):
        raise ValueError(
            "predict must be a function, images (n, h, w, channels) to probabilities (n, classes), "
            f"got {type(predict).__name__}."
        )
    images = to_images(images)
    if not maps:
        raise ValueError("maps must be an array or a dict with at least one, got an empty dict.")
    # As floats: unsigned numbers have no negative, which ranks them below.
    maps = {name: to_array(one, "maps").astype("float64") for name, one in maps.items()}
    for one in maps.values():
        if one.shape != images.shape[:3]:
            raise ValueError(
                f"maps must have shape {images.shape[:3]}, that of the images, got {one.shape}. "
                'Use grad_cam(..., size="input").'
            )
        if not np.isfinite(one).all():
            raise ValueError("maps must be finite, got NaN or infinity.")
    targets = to_array(targets, "targets")
    if targets.shape == (len(images), 1):
        targets = targets[:, 0]
    if targets.dtype.kind not in "ui" or targets.shape not in ((), (len(images),)):
        raise ValueError(
            f"targets must be an int or {len(images)} ints, got {targets.dtype} of shape "
            f"{targets.shape}."
        )
    pixels = images.shape[1] * images.shape[2]
    if not is_int(steps, 1) or steps > pixels:
        raise ValueError(f"steps must be an int from 1 to {pixels} (pixels), got {steps!r}.")
    check_batch_size(batch_size)
    return images, maps, np.broadcast_to(targets, len(images))


def _baseline(images, baseline):
    if isinstance(baseline, str) and baseline == "blur":
        sigma = images.shape[1] / 8
        known = images.dtype.name in ("uint8", "uint16", "float32", "float64")  # by OpenCV
        pixels = images if known else images.astype("float32")
        blurred = np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in pixels])
        blurred = blurred if images.dtype.kind == "f" or known else np.rint(blurred)
        return blurred.reshape(images.shape).astype(images.dtype)  # OpenCV drops an axis of gray
    if isinstance(baseline, str) and baseline == "mean":
        mean = images.mean(axis=(1, 2), keepdims=True)
        mean = np.rint(mean) if images.dtype.kind in "ui" else mean
        return np.broadcast_to(mean.astype(images.dtype), images.shape)
    if getattr(baseline, "shape", None) == images.shape and baseline.dtype == images.dtype:
        return baseline
    got = baseline if isinstance(baseline, str) else type(baseline).__name__
    raise ValueError(
        f'baseline must be "blur", "mean" or {images.dtype} {images.shape}, got {got!r}.'
    )


def _area(fractions, curves):
    """Area below each curve, by the trapezoidal rule."""
    return ((curves[:, 1:] + curves[:, :-1]) / 2) @ np.diff(fractions)
