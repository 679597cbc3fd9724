"""Data augmentation inside the compiled training step: shift, horizontal flip, random erasing.

The three are index arithmetic, so they compile on every backend, run on the device beside the
network, and leave the host nothing to do but hand over raw batches.
"""

import math

import keras
import numpy as np
from keras import ops

from utils.model.replicas import this_replica
from utils.number_checks import check_real, check_whole

MAX_SHIFT = 65_535  # pixels: far beyond any image, and far from the end of the integers


@keras.saving.register_keras_serializable(package="assignment")
class Augment(keras.layers.Layer):
    """Shifts, flips and erases each image at random; does nothing at inference.

    The layer stands behind the model's normalization, so `erase_fill` is in normalized units.
    There 0 is the mean color of the training set. The 2019 submission filled with values meant
    for raw pixels; what is right depends on the normalization, so it is an argument here.

    - Shift: whole pixels, each axis on its own, uniform in -shift..shift; the border repeats
      the nearest pixel.
    - Flip: left to right, with probability 1/2.
    - Erasing: Zhong et al. 2017, https://arxiv.org/abs/1708.04896, Algorithm 1, except that a
      rectangle is placed inside the image at once instead of being drawn until it fits.

    Args:
        shift: int, 0 to `MAX_SHIFT`, the largest shift in pixels.
        flip: bool.
        erase_probability: float in [0, 1].
        erase_area: (low, high), share of the image's area, 0 < low <= high <= 1.
        erase_ratio: (low, high), height / width of the rectangle, 0 < low <= high.
        erase_fill: (low, high), each a finite scalar or one a channel. A rectangle is filled with
            low + u * (high - low), u uniform in [0, 1), one u a rectangle.
        seed: int, 0 to 2^32 - 1, the start of the layer's own random stream.

    Raises:
        ValueError: on an argument outside its range.
    """

    def __init__(
        self,
        shift=4,
        flip=True,
        erase_probability=0.0,
        erase_area=(0.02, 0.4),
        erase_ratio=(0.3, 1 / 0.3),
        erase_fill=(0.0, 0.0),
        seed=0,
        name="augment",
        **kwargs,
    ):  # pragma: no mutate block, because Keras reads the signature, which mutmut hides
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)
        self.shift = check_whole("shift", shift, 0, MAX_SHIFT)
        self.flip = bool(flip)
        self.erase_probability = check_real("erase_probability", erase_probability, 0, 1)
        self.erase_area, self.erase_ratio = _pair(erase_area), _pair(erase_ratio)
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1:
            raise ValueError(f"erase_area must satisfy 0 < low <= high <= 1, got {erase_area}.")
        if not 0 < self.erase_ratio[0] <= self.erase_ratio[1] < math.inf:
            raise ValueError(
                f"erase_ratio must satisfy 0 < low <= high, both finite, got {erase_ratio}."
            )
        self.erase_fill = _fill(erase_fill)
        self.seed = check_whole("seed", seed, 0, 2**32 - 1)
        # Saved in no checkpoint: `utils.training.fit` sets its state at the start of every epoch.
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, images, training=False):
        """Images (batch, height, width, channels), float, to images of the same shape."""
        kind = keras.backend.standardize_dtype(images.dtype)
        if len(images.shape) != 4 or "float" not in kind:
            raise ValueError(
                f"Received images of {kind} and shape {tuple(images.shape)}; pass normalized "
                f"images, floats (batch, height, width, channels)."
            )
        if not training:
            return images
        if self.shift or self.flip:
            images = self._shift_and_flip(images)
        if self.erase_probability:
            images = self._erase(images)
        return images

    def _shift_and_flip(self, images):
        batch, height, width = ops.shape(images)[:3]
        offsets = self._mine(
            (batch, 2),
            lambda shape: keras.random.randint(
                shape, -self.shift, self.shift + 1, seed=self.seed_generator
            ),
        )
        # Clipping the source index repeats the nearest border pixel.
        rows = ops.clip(ops.arange(height, dtype="int32")[None, :] + offsets[:, :1], 0, height - 1)
        columns = ops.clip(ops.arange(width, dtype="int32")[None, :] + offsets[:, 1:], 0, width - 1)
        if self.flip:
            mirrored = self._uniform((batch, 1)) < 0.5
            columns = ops.where(mirrored, width - 1 - columns, columns)
        images = ops.take_along_axis(images, rows[:, :, None, None], axis=1)
        return ops.take_along_axis(images, columns[:, None, :, None], axis=2)

    def _erase(self, images):
        batch, rows, columns = ops.shape(images)[:3]
        height, width = ops.cast(rows, "float32"), ops.cast(columns, "float32")
        area = self._uniform((batch, 1), *self.erase_area) * height * width
        ratio = self._uniform((batch, 1), *self.erase_ratio)
        box_height = ops.minimum(ops.floor(ops.sqrt(area * ratio)), height)
        box_width = ops.minimum(ops.floor(ops.sqrt(area / ratio)), width)
        top = ops.floor(self._uniform((batch, 1)) * (height - box_height + 1))
        left = ops.floor(self._uniform((batch, 1)) * (width - box_width + 1))
        y = ops.arange(rows, dtype="float32")[None, :]
        x = ops.arange(columns, dtype="float32")[None, :]
        inside_rows = ops.logical_and(y >= top, y < top + box_height)
        inside_columns = ops.logical_and(x >= left, x < left + box_width)
        chosen = self._uniform((batch, 1)) < self.erase_probability
        inside_rows = ops.logical_and(inside_rows, chosen)
        box = ops.logical_and(inside_rows[:, :, None], inside_columns[:, None, :])[..., None]
        low, high = (ops.convert_to_tensor(value, "float32") for value in self.erase_fill)
        fill = low + self._uniform((batch, 1, 1, 1)) * (high - low)
        return ops.where(box, ops.cast(fill, images.dtype), images)

    def _uniform(self, shape, low=0.0, high=1.0):
        return self._mine(
            shape,
            lambda shape: keras.random.uniform(
                shape, low, high, dtype="float32", seed=self.seed_generator
            ),
        )

    @staticmethod
    def _mine(shape, draw):
        """Random numbers for the images here: drawn for the whole batch, so that its result does
        not depend on the number of devices that share it."""
        position, count = this_replica()
        if count == 1:
            return draw(shape)
        batch = shape[0]
        numbers = draw((batch * count, *shape[1:]))
        return ops.slice(numbers, (position * batch, *[0] * (len(shape) - 1)), shape)

    def get_config(self):
        return {
            **super().get_config(),
            "shift": self.shift,
            "flip": self.flip,
            "erase_probability": self.erase_probability,
            "erase_area": self.erase_area,
            "erase_ratio": self.erase_ratio,
            "erase_fill": self.erase_fill,
            "seed": self.seed,
        }


def _pair(values):
    """Two numbers as floats; two NaNs, which satisfy no comparison, for anything else."""
    try:
        low, high = values
        return float(low), float(high)
    except (TypeError, ValueError):
        return math.nan, math.nan


def _fill(values):
    """`erase_fill`, checked: a tuple of two, as it was passed."""
    try:
        low, high = values
        good = all(np.ndim(value) < 2 and np.isfinite(value).all() for value in (low, high))
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            f"erase_fill must be (low, high), each a finite number or one a channel, got {values}."
        )
    return low, high
