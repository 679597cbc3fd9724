"""What may be handed over as batches: forms that are accepted, and a clear error for the others."""

import itertools
import math

import keras
import numpy as np

_MOST_HELD_OUT = 1_000  # batches that are read to see whether they end


def readable(batches, name):
    """The batches in a form that can be iterated; of a `tf.data.Dataset` they are NumPy arrays."""
    first = batches[0] if isinstance(batches, (tuple, list)) and batches else batches
    if isinstance(batches, dict) or hasattr(first, "shape"):
        kind = "a dictionary" if isinstance(batches, dict) else "arrays"
        shuffle = " Shuffle x and y first where they are sorted by class." * (name == "batches")
        raise ValueError(
            f"Received {kind} as {name}; pass batches of x and y: "
            f"[(x[i:i+128], y[i:i+128]) for i in range(0, len(x), 128)].{shuffle}"
        )
    if hasattr(batches, "as_numpy_iterator"):
        return _TfData(batches)
    return batches


class _TfData:
    """A `tf.data.Dataset` whose batches are NumPy arrays, which every backend takes."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        return self.dataset.as_numpy_iterator()


def held_out_batches(batches):
    """Batches with a length and an index: these themselves, or a list of what is read once.

    Raises:
        ValueError: for arrays, a dictionary, no batch at all, or batches that do not end, as far as
            one can see: where nobody knows their number, after 1,000.
    """
    count = _count(batches)
    batches = readable(batches, "held_out")
    if count is None:
        batches = list(itertools.islice(batches, _MOST_HELD_OUT + 1))
        count = len(batches) if len(batches) <= _MOST_HELD_OUT else math.inf
    if not count:
        raise ValueError("Received held_out without a batch; pass at least one, or None.")
    if count == math.inf:
        raise ValueError(
            "Received held_out that does not end, and it is read after every step. Pass some of "
            "its batches, such as held_out=list(itertools.islice(held_out, 10))."
        )
    return batches if _by_index(batches) or isinstance(batches, (list, tuple)) else list(batches)


def _count(batches):
    """How many batches there are: infinity where they never end, None where nobody knows."""
    if isinstance(batches, keras.utils.PyDataset):
        return math.inf if batches.num_batches is None else batches.num_batches
    if hasattr(batches, "as_numpy_iterator"):  # tf.data
        count = int(batches.cardinality())
        return {-1: math.inf, -2: None}.get(count, count)
    try:
        return len(batches)
    except TypeError:
        return None


def checked(batch, model, where):
    """A batch (x, y) or (x, y, sample_weight) that the model can be trained on, as a tuple.

    The inputs must be finite: a ReLU may make zeros of NaN, and then no loss would tell. `where`
    names the batch, as in "the batch of step 7".
    """
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        kind = type(batch).__name__
        raise ValueError(
            f"A batch is a {kind}; it must be (x, y) or (x, y, sample_weight)."
            + (_out_of_dictionary("d", "d['x'], d['y']", batch) if kind == "dict" else "")
        )
    batch = tuple(_array(part) for part in batch)
    shape, wanted = tuple(np.shape(batch[0])), tuple(model.input_shape)
    if len(shape) != len(wanted) or any(w not in (None, s) for w, s in zip(wanted, shape)):
        raise ValueError(
            f"A batch has inputs of shape {shape}, the model takes {wanted}. A data set of single "
            f"examples becomes one of batches by .batch(128)."
        )
    if not shape[0]:
        raise ValueError(f"There is no example in {where}, of shape {shape}. Leave it out.")
    check_finite(batch[:1], where)
    return batch


def _array(part):
    """A part of a batch as an array that Keras takes; what it takes already is not copied."""
    if isinstance(part, (dict, list, tuple)) and len(part) == 1:
        (only,) = part.values() if isinstance(part, dict) else part
        if getattr(only, "ndim", 0):  # of the one input or output, as Keras itself takes it
            part = only
    if isinstance(part, dict):
        raise ValueError(
            "A batch holds a dictionary; this model has one input and one output."
            + _out_of_dictionary("d, y", "d['x'], y", part)
        )
    if part is None or isinstance(part, np.ndarray) or keras.ops.is_tensor(part):
        return part
    if hasattr(part, "detach"):  # PyTorch's, on another backend
        part = part.detach().cpu()
    return np.asarray(part)


def _out_of_dictionary(given, taken, dictionary):
    return (
        f" Its keys are {[*dictionary][:9]}. Take what is needed out of it, from a tf.data.Dataset "
        f"by .map(lambda {given}: ({taken})), otherwise by [({taken}) for {given} in batches]."
    )


def check_finite(batch, where):
    """Refuses a batch, or the first parts of one, with floats that are not finite."""
    for part, what, name in zip(batch, ("inputs", "targets", "sample weights"), "xyw"):
        if part is None or "float" not in str(part.dtype):
            continue
        on_host = isinstance(part, np.ndarray)
        if not (np.isfinite(part).all() if on_host else keras.ops.all(keras.ops.isfinite(part))):
            raise ValueError(
                f"The {what} of {where} hold NaN or infinite values. Leave those examples out: "
                f"keep = np.isfinite({name}).reshape(len({name}), -1).all(axis=1); "
                "x, y = x[keep], y[keep]."
            )


def endless(batches, num_steps):
    """Yield the batches, beginning again at the end if that is possible."""
    count = 0
    while True:
        at_begin = count
        for batch in one_pass(batches):
            yield batch
            count += 1
        if count == at_begin:
            raise ValueError(
                f"The batches ended after {count} of {num_steps} steps. Pass a list or a "
                "PyDataset, which can be read again, a longer generator, or a smaller num_steps."
            )


def _by_index(batches):
    # Keras 3.10 gives a PyDataset no iterator, and Python's fallback for one never ends. What has
    # an iterator of its own may index its examples.
    own = isinstance(batches, keras.utils.PyDataset) or not hasattr(batches, "__iter__")
    return own and _count(batches) not in (None, math.inf)


def one_pass(batches):
    """The batches from the first to the last, once."""
    if _by_index(batches):
        return (batches[i] for i in range(_count(batches)))
    return batches
