"""What may be handed over as batches: forms that are accepted, and a clear error for the others."""

import keras
import numpy as np


def readable(batches, name):
    """The batches in a form that gives NumPy arrays; a finite `tf.data.Dataset` as a list."""
    if hasattr(batches, "shape") or (
        isinstance(batches, (tuple, list)) and batches and hasattr(batches[0], "shape")
    ):
        raise ValueError(
            f"Received arrays as {name}; pass batches of them, such as "
            f"utils.data.batches.Batches(images, labels, 128, seed=0)."
        )
    if isinstance(batches, dict):
        raise ValueError(f"Received a dictionary as {name}; pass batches (x, y).")
    if hasattr(batches, "as_numpy_iterator"):  # tf.data
        if name == "held_out":
            return list(batches.as_numpy_iterator())
        return _TfData(batches)
    return batches


class _TfData:
    """A `tf.data.Dataset` whose batches are NumPy arrays, which every backend takes."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        return self.dataset.as_numpy_iterator()


def checked(batch, model, first=False):
    """A batch (x, y) or (x, y, sample_weight) that the model can be trained on.

    The first batch must be finite, too: a ReLU may make zeros of NaN, and then no loss would tell.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        kind = type(batch).__name__
        raise ValueError(f"A batch is a {kind}; it must be (x, y) or (x, y, sample_weight).")
    if any(isinstance(part, dict) for part in batch):
        raise ValueError("A batch holds a dictionary; this model has one input and one output.")
    shape, wanted = np.shape(batch[0]), tuple(model.input_shape)
    if len(shape) != len(wanted) or any(w not in (None, s) for w, s in zip(wanted, shape)):
        raise ValueError(
            f"A batch has inputs of shape {shape}, the model takes {wanted}. A data set of single "
            f"examples becomes one of batches by .batch(128)."
        )
    if first:
        inputs = np.asarray(batch[0])
        if np.issubdtype(inputs.dtype, np.floating) and not np.isfinite(inputs).all():
            raise ValueError("The inputs hold NaN or infinite values; leave these examples out.")
    return batch


def endless(batches, num_steps):
    """Yield the batches, beginning again at the end if that is possible."""
    count = 0
    while True:
        at_begin = count
        # Keras 3.10 gives a PyDataset no iterator, and Python's fallback for one never ends.
        indexed = isinstance(batches, keras.utils.PyDataset)
        for batch in (batches[i] for i in range(len(batches))) if indexed else batches:
            yield batch
            count += 1
        if count == at_begin:
            raise ValueError(
                f"The batches ended after {count} of {num_steps} steps. Pass a list or a "
                "PyDataset, which can be read again, a longer generator, or a smaller num_steps."
            )
