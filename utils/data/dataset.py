"""A labeled data set of images: its form, its splits and its statistics."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from utils.number_checks import check_whole

IMAGE_SHAPE = (32, 32, 3)  # height, width, RGB
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer",
    "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labeled training and test set of 32x32 RGB images.

    Attributes:
        x_train: uint8 `(N, 32, 32, 3)`, RGB, 0..255.
        y_train: int64 `(N,)`, positions in `class_names`.
        x_test: uint8 `(M, 32, 32, 3)`.
        y_test: int64 `(M,)`.
        class_names: Tuple of text, one name a label.
        source: One line that says where the images come from, without any path.
        test_masks: bool `(M, 32, 32)`, where the object is in each test image, or None.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple
    source: str
    test_masks: np.ndarray | None = None

    def __post_init__(self):
        if len(self.class_names) < 2 or len(set(self.class_names)) < len(self.class_names):
            raise ValueError(
                f"class_names must be two or more different names, but are {self.class_names}."
            )
        _check_part("train", self.x_train, self.y_train, len(self.class_names))
        _check_part("test", self.x_test, self.y_test, len(self.class_names))
        masks, expected = self.test_masks, self.x_test.shape[:3]
        if masks is not None and (masks.dtype != bool or masks.shape != expected):
            raise ValueError(
                f"test_masks must be bool {expected}, but are {masks.dtype} {masks.shape}. "
                "Give one mask for each test image, or None."
            )

    @property
    def is_cifar10(self):
        """Whether the classes are those of CIFAR-10, in their order, whatever the source."""
        return tuple(self.class_names) == CIFAR10_CLASSES

    @cached_property
    def content_hash(self):
        """SHA-256 of all pixels and labels, in hexadecimal; the same on every platform."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(str(array.shape).encode())
            digest.update(array)
        return digest.hexdigest()

    def hold_out(self, count, seed):
        """Splits the training set; the held-out part takes the place of the test set.

        Both parts keep the shares of the classes (to within one image) and the order of images.

        Args:
            count: Number of training images to hold out, 1 to N - 1.
            seed: Integer of at least 0.

        Returns:
            A new `Dataset`, without masks.

        Raises:
            ValueError: If `count` or `seed` is out of range.
        """
        total = len(self.y_train)
        count = check_whole("count", count, 1, total - 1)
        rng = np.random.default_rng(check_whole("seed", seed, 0))
        chosen = _stratified(self.y_train, count, rng)
        kept = np.setdiff1d(np.arange(total), chosen)
        return replace(
            self,
            x_train=self.x_train[kept],
            y_train=self.y_train[kept],
            x_test=self.x_train[chosen],
            y_test=self.y_train[chosen],
            source=f"{self.source}, tested on {count:,} held-out training images",
            test_masks=None,
        )

    def subset(self, train, test, seed):
        """Draws a smaller data set with the same shares of the classes, to within one image.

        Args:
            train: Number of training images, 1 to N.
            test: Number of test images, 1 to M.
            seed: Integer of at least 0.

        Returns:
            A new `Dataset`, the images in the same order as before.

        Raises:
            ValueError: If `train`, `test` or `seed` is out of range.
        """
        train = check_whole("train", train, 1, len(self.y_train))
        test = check_whole("test", test, 1, len(self.y_test))
        rng = np.random.default_rng(check_whole("seed", seed, 0))
        chosen = _stratified(self.y_train, train, rng)
        chosen_test = _stratified(self.y_test, test, rng)
        return replace(
            self,
            x_train=self.x_train[chosen],
            y_train=self.y_train[chosen],
            x_test=self.x_test[chosen_test],
            y_test=self.y_test[chosen_test],
            source=f"{self.source}, subset of {train:,} + {test:,} images",
            test_masks=None if self.test_masks is None else self.test_masks[chosen_test],
        )


def channel_statistics(images):
    """Mean and standard deviation of each color channel over all pixels.

    Args:
        images: uint8 `(N, height, width, channels)`, N >= 1.

    Returns:
        `(mean, std)`: float64 `(channels,)` each, in pixel units 0..255. Exact: they are taken
        from integer sums. The standard deviation is that of the population (divisor N).

    Raises:
        ValueError: If `images` is not a uint8 array of that shape.
    """
    _check_images(images)
    count = images[..., 0].size
    # Over the images first, which is many times faster than over all pixels at once.
    total = images.sum(axis=0, dtype=np.int64).sum(axis=(0, 1))
    squares = np.zeros_like(total)
    for start in range(0, len(images), 1000):  # a chunk at a time, to save memory
        chunk = np.square(images[start : start + 1000], dtype=np.uint16)
        squares += chunk.sum(axis=0, dtype=np.int64).sum(axis=(0, 1))
    # Python's integers do not overflow, and nothing is rounded before the one division.
    pairs = zip(total.tolist(), squares.tolist())
    variance = [(count * square - value**2) / count**2 for value, square in pairs]
    return total / count, np.sqrt(variance)


def pixel_mean(images):
    """Mean of each pixel position over all images.

    Args:
        images: uint8 `(N, height, width, channels)`, N >= 1.

    Returns:
        float64 `(height, width, channels)`, in pixel units 0..255.

    Raises:
        ValueError: If `images` is not a uint8 array of that shape.
    """
    _check_images(images)
    return images.sum(axis=0, dtype=np.int64) / len(images)


def _check_images(images, name="images"):
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(
            f"{name} must be uint8 (N, height, width, channels) with N >= 1, but is "
            f"{images.dtype} {images.shape}. Give the raw pixels, 0..255."
        )


def _check_part(part, images, labels, classes):
    _check_images(images, f"x_{part}")
    if images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"x_{part} must hold images of shape {IMAGE_SHAPE}, but they are {images.shape[1:]}. "
            "Resize them to 32x32 RGB."
        )
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"y_{part} must be int64 ({len(images)},), one label an image, but is "
            f"{labels.dtype} {labels.shape}. Flatten or convert it."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"y_{part} must lie in 0..{classes - 1} for {classes} class names, but reaches from "
            f"{labels.min()} to {labels.max()}. Correct the labels or the names."
        )


def _stratified(labels, count, rng):
    """Draws `count` positions, each class in proportion; sorted int64 `(count,)`."""
    sizes = np.bincount(labels)
    take, remainder = np.divmod(count * sizes, len(labels))
    # The images that rounding down leaves over go to the classes with the largest remainders.
    take[np.argsort(-remainder, kind="stable")[: count - take.sum()]] += 1
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in enumerate(take)
    ]
    return np.sort(np.concatenate(chosen))
