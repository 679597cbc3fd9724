"""The same training again, undisturbed: is the result the same to the last bit?

A run after the first is survived when it equals the first. Each run is a process of its own with
the same seed. In float32 all must be equal, on one thread and on several. In bfloat16 TensorFlow's
kernels for the CPU (oneDNN) add up in an order that differs from run to run when several threads
share the work; how often is counted, and how far the weights are apart in the end, not held against
the code. Not tried: other processors and GPUs, whose kernels add up in another order.
"""

import importlib.util
from typing import NamedTuple

import h5py
import numpy as np

from faults import kills, workload
from faults.result import Result
from utils.runtime import cores


class Repeat(NamedTuple):
    """A training to repeat.

    Attributes:
        backend, precision: of Keras.
        threads: how many may share an operation; None for one a core.
        must: whether a difference is a fault.
    """

    backend: str
    precision: str
    threads: int | None
    must: bool = True


REPEATS = (
    Repeat("tensorflow", "float32", None),
    Repeat("jax", "float32", None),
    Repeat("tensorflow", "mixed_bfloat16", 1),
    Repeat("tensorflow", "mixed_bfloat16", None, must=False),
    Repeat("jax", "mixed_bfloat16", None),
)


def weights(folder):
    """Weights and batch-norm statistics in the newest checkpoint of a run.

    Args:
        folder: `Path` of a finished run.

    Returns:
        Dict of name to float64 array.
    """
    found = {}

    def keep(name, item):
        trained = not name.startswith("optimizer")
        if trained and isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            found[name] = np.asarray(item[()], "float64")

    with h5py.File(sorted(folder.glob("checkpoint-*"))[-1]) as file:
        file.visititems(keep)
    return found


def largest_difference(one, other):
    """The largest absolute difference of two dicts of arrays with the same names."""
    return max(float(np.abs(one[name] - other[name]).max(initial=0)) for name in one)


def repeat_training(repeat, times, scratch, report=print):
    """Trains `times` times and compares each run with the first.

    Args:
        repeat: `Repeat`.
        times: int >= 2.
        scratch: `Path` of an existing folder.
        report: function that takes a line.

    Returns:
        `Result`: a try is a run after the first, survived when it is equal to it.
    """
    backend, precision, threads, must = repeat
    sharing = threads or cores()
    share = f"{sharing} thread" + "s" * (sharing > 1)
    result = Result("repeats", f"the same training again: {backend}, {precision}, {share}")
    if not importlib.util.find_spec(backend):
        return result.done(f"not tried: {backend} is not installed")
    scratch = scratch / f"{backend}-{precision}-{threads}"
    scratch.mkdir()
    images, log = workload.write_images(scratch / "images"), scratch / "log"
    variables = {"TF_NUM_INTRAOP_THREADS": str(threads)} if threads else {}
    first, furthest = None, 0.0
    for number in range(times):
        folder = scratch / str(number) / "run"  # the name is part of the record
        command = workload.training_command(images, folder, precision=precision)
        try:
            workload.run(command, log, backend, **variables)
            found = kills.outcome(folder), weights(folder)
        except (RuntimeError, OSError) as error:
            result.add(f"run {number}: {error}")
            continue
        if first is None:
            first = found
            continue
        different = kills.difference(first[0], found[0])
        furthest = max(furthest, largest_difference(first[1], found[1]))
        if different and not must:
            result.add_unnoticed()
        else:
            result.add(different and f"run {number} differs in {different}")
        report(f"  {backend}, {precision}, {share}: run {number + 1} of {times}")
    return result.done(
        f"weights and batch statistics up to {furthest:.1g} apart" if furthest else ""
    )


def repeat_all(times, scratch, report=print):
    """Repeats every training in turn: side by side they would share the threads."""
    return [repeat_training(one, times, scratch, report) for one in REPEATS]
