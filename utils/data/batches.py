"""Training data that stay where they are used: a step is handed positions, not images.

The images are converted once. On TensorFlow `fit` reads a `tf.data` pipeline that picks each batch
without Python between the steps; on the other backends the batch is picked on the device. Fed by a
Python generator instead, TensorFlow gives the memory of every step back to the system and waits for
its autotuner after every pass; `benchmarks/README.md` has what that cost.
"""

import contextlib
import math

import keras
import numpy as np
from keras import ops

from utils.data.image_arrays import check_images, check_labels
from utils.number_checks import check_whole

PREFETCHED = 2  # batches that TensorFlow holds ready


class Batches(keras.utils.PyDataset):
    """Raw batches in an order that depends on the seed and the epoch, and on nothing else.

    A shuffled pass visits `numpy.random.default_rng((seed, epoch)).permutation(n)`. Its last
    batch is filled up from the start of the same permutation: all batches have one shape, so
    that the training step is compiled once.

    Args:
        images: uint8 (n, height, width, channels), of any size and number of channels.
        labels: int (n,) or (n, 1), class indices.
        batch_size: int >= 1; at most n images are taken when n is smaller.
        seed: int >= 0, or None for the given order with a shorter last batch (evaluation).

    Raises:
        ValueError: for images that are no uint8 array, labels that are no class indices, a batch
            size below 1, or a negative seed.
    """

    def __init__(self, images, labels, batch_size, seed=None):
        images = check_images(images)
        labels = check_labels(labels, len(images))
        if keras.backend.standardize_dtype(images.dtype) != "uint8":
            raise ValueError(
                f"Received images of {images.dtype}; batches hold raw pixels of uint8, 0..255. "
                f'Pass images.round().astype("uint8").'
            )
        batch_size = check_whole("batch_size", batch_size, 1)
        if seed is not None:
            seed = check_whole("seed", seed, 0)
        super().__init__(workers=1, use_multiprocessing=False)
        # TensorFlow's pipeline runs on the CPU; the other backends pick on the device itself.
        with keras.device("cpu:0") if _on_tensorflow() else contextlib.nullcontext():
            self.images = ops.convert_to_tensor(images)
            self.labels = ops.convert_to_tensor(labels.astype("int32"))
        self.batch_size, self.seed = min(batch_size, len(images)), seed
        self.set_epoch(0)

    def order_of(self, epoch):
        """Positions in the order of an epoch, counted from 0: int32 (n filled up,)."""
        count = len(self.images)
        order = np.arange(count, dtype="int32")
        if self.seed is not None:
            order = np.random.default_rng((self.seed, epoch)).permutation(order)
            order = np.concatenate([order, order[: -count % self.batch_size]])
        return order

    def set_epoch(self, epoch):
        """Selects the order in which `batches[0]`, `batches[1]`, ... follow each other."""
        self.order = self.order_of(epoch)

    def __len__(self):
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index):
        """Batch `index` of the selected epoch: images uint8 and labels int32, on the device.

        Raises:
            IndexError: when there is no such batch; it ends a plain loop over the batches.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"There is no batch {index}; they are 0 to {len(self) - 1}.")
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return ops.take(self.images, chosen, axis=0), ops.take(self.labels, chosen, axis=0)

    def stream(self, first_epoch, epochs):
        """What `fit` reads in the epochs `first_epoch` to `epochs` - 1, counted from 0.

        Args:
            first_epoch, epochs: ints, 0 <= first_epoch < epochs.

        Returns:
            On TensorFlow one `tf.data.Dataset` of all those epochs, to be read with
            `steps_per_epoch=len(batches)`, so that no iterator ends between them. Elsewhere these
            `Batches`; `set_epoch` is then to be called at the begin of each epoch.
        """
        if not _on_tensorflow():
            return self
        import tensorflow as tf  # only here: the other backends live without it

        orders = [self.order_of(epoch) for epoch in range(first_epoch, epochs)]
        size, images, labels = self.batch_size, self.images, self.labels
        full = all(len(order) % size == 0 for order in orders)
        with tf.device("cpu:0"):
            order = tf.constant(np.concatenate(orders))

        def pick(step):
            chosen = order[step * size : (step + 1) * size]
            if full:  # a shape known beforehand
                chosen = tf.ensure_shape(chosen, (size,))
            return tf.gather(images, chosen), tf.gather(labels, chosen)

        # int32: on a CPU oneDNN refuses arithmetic in int64, and says so in an error line.
        steps = tf.data.Dataset.range(math.ceil(len(order) / size), output_type=tf.int32)
        stream = steps.map(pick).prefetch(PREFETCHED)
        options = tf.data.Options()
        options.autotune.enabled = False  # its thread is waited for whenever an iterator is let go
        return stream.with_options(options)


def _on_tensorflow():
    return keras.backend.backend() == "tensorflow"
