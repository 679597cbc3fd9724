"""What calls of a graph do to numbers, found out by trying: a cast, a softmax or something else.

Names tell little: `Activation("softmax")`, `Softmax()`, `keras.ops.softmax`, a `Lambda` around it
and exp(z) / sum(exp(z)) are one and the same.
"""

import keras
import numpy as np
from keras import ops

from utils.explain.keras_graph import run_calls

LINKS = {
    "softmax": ops.softmax,
    "sigmoid": ops.sigmoid,
    "hard sigmoid": ops.hard_sigmoid,
    "log-softmax": ops.log_softmax,
    "log-sigmoid": ops.log_sigmoid,
    "1 - sigmoid": lambda z: ops.sigmoid(-z),
}


def effect_of(calls, start, end, spec):
    """What calls without weights make of one value.

    Args:
        calls: list of `utils.explain.keras_graph.Call` that lead from `start` to `end`.
        start, end: int, the numbers of the values.
        spec: `keras.KerasTensor` of the value `start`.

    Returns:
        "same" for a cast or a reshape, a name of `LINKS`, or None for anything else.
    """
    given = random_input(spec)
    found = run(calls, {start: given}, end)
    if found is None or len(found) != len(given):
        return None
    if found.size == given.size and np.allclose(found.ravel(), given.ravel(), rtol=1e-2, atol=1e-2):
        return "same"
    return link_between(given, found)


def link_between(given, found):
    """The name in `LINKS` of what makes one array (n, ...) of another, or None.

    Two columns that sum to 1, made of one, count as their second: it is that of class 1.
    """
    if given[0].size == 1 and found[0].size == 2:
        first, second = found.reshape(-1, 2).T
        found = second if np.allclose(first + second, 1, atol=5e-3) else found
    if found.size != given.size:
        return None
    tensor = ops.convert_to_tensor(given)
    for name, link in LINKS.items():
        if "softmax" in name and given.shape[-1] == 1:  # always 1, whatever the logit
            continue
        expected = to_numpy(link(tensor))
        close = 5e-3 * np.abs(expected).max()  # as near as half precision allows
        if np.abs(expected - found.reshape(given.shape)).max() < close:
            return name
    return None


def activation_effect(call):
    """The name in `LINKS` of the activation of a layer, such as that of a Dense layer, or None."""
    activation = getattr(call.operation, "activation", None)
    if not callable(activation) or len(call.inputs) != 1:
        return None
    given = random_input(call.specs[0])
    return link_between(given, to_numpy(activation(ops.convert_to_tensor(given))))


def squashes(calls, start, end, spec):
    """Whether calls give numbers from 0 to 1 even for inputs far from 0; arguments: `effect_of`."""
    found = run(calls, {start: 30 * random_input(spec)}, end)
    return found is not None and found.min() >= 0 and 0 < found.max() <= 1 + 1e-3


def random_input(spec):
    """float32 numbers of the shape of a `keras.KerasTensor`, of a standard deviation of 3."""
    shape = [2 if side is None else side for side in spec.shape]
    return (
        np.random.default_rng(0).normal(0, 3, (spec.shape[0] or 16, *shape[1:])).astype("float32")
    )


def run(calls, values, wanted):
    """What calls make of arrays, float32; None where they take other numbers or fail."""
    values = {number: ops.convert_to_tensor(array) for number, array in values.items()}
    try:
        with keras.StatelessScope():
            run_calls(calls, values)
    except Exception:  # of any layer, a user's own too: then nothing is known about it
        return None
    return to_numpy(values[wanted])


def to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))
