"""What to say when a device has no room for a batch: which size to try, and where it is set."""

import contextlib

# Classes of the backends' errors, by name, because only one backend is installed; and words in the
# message of those whose class tells nothing.
_CLASSES = {"ResourceExhaustedError", "OutOfMemoryError"}  # TensorFlow, PyTorch on a GPU
_WORDS = ("RESOURCE_EXHAUSTED", "can't allocate memory")  # JAX, PyTorch on a CPU


class OutOfMemoryError(ValueError):
    """A device has no room for a batch of this size."""


@contextlib.contextmanager
def batches_of(size, advice):
    """Turns a lack of memory in the block into an error that names a batch size that may fit.

    What a network keeps for each image is most of what it needs, so half of the batch needs about
    half of the memory; no backend tells in advance whether that is little enough.

    Args:
        size: int >= 1, images in one pass.
        advice: function of half that size that gives a sentence: where a smaller size is set.

    Raises:
        OutOfMemoryError: naming the size, its half, and where it is set.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        said = " ".join(str(error).split())[:200]
        if size == 1:
            raise OutOfMemoryError(
                f"The device has no room for a single image ({said}). Use one with more memory, "
                f"or the CPU."
            ) from error
        half = size // 2
        raise OutOfMemoryError(
            f"The device has no room for a batch of {size} images ({said}). A batch of {half} "
            f"needs about half of the memory; if that is still too much, halve again. "
            f"{advice(half)}"
        ) from error


def is_out_of_memory(error):
    """Whether an exception is that of a backend which could not get memory on its device."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(_CLASSES & names) or any(word in str(error) for word in _WORDS)
