"""What a compiled function has taken from the layers as constants, to notice when it changes.

A compilation reads the variables of a layer at each call, but its other attributes, such as the
slope of a `LeakyReLU` or the mean of an adapted `Normalization`, only once. Attributes are compared
instead of `get_config`, which is slower, and which layers of a user may lack or leave incomplete.
"""

import functools

import keras
import numpy as np

PLAIN = (bool, int, float, complex, str, bytes, type(None))


class LayerState:
    """The attributes of the operations of a graph, as they were when it was last looked at.

    Seen are numbers, text, arrays and containers of them, also in layers within layers, and
    whether another object, such as an activation function or a variable, is still the same one.
    Not seen are changes within another object, in a global variable, or in the code of a class.

    Args:
        calls: list of `utils.explain.keras_graph.Call`.
    """

    def __init__(self, calls):
        self._operations = list({id(call.operation): call.operation for call in calls}.values())
        self.update()

    def update(self):
        """Takes the attributes of this moment for those that are known."""
        self._known = _read(self._operations)

    def has_changed(self):
        """Whether an attribute is another one than when it was last looked at."""
        now = _read(self._operations)
        return len(now) != len(self._known) or not all(map(_same, now, self._known))


def _same(one, other):
    return one is other or (type(one) is type(other) and isinstance(one, PLAIN) and one == other)


def _read(operations):
    """One flat list; it holds the objects themselves, so that none of them can be taken for a new
    one that lies at the same address."""
    found, seen = [], set()

    def add(value):
        if isinstance(value, PLAIN):
            found.append(value)
        elif id(value) in seen:
            found.append(id(value))
        elif isinstance(value, np.ndarray):
            found.extend((f"{value.dtype} {value.shape}", value.tobytes()))
        elif isinstance(value, (list, tuple, set, frozenset)):
            found.append(len(value))
            for one in value:
                add(one)
        elif isinstance(value, dict):
            found.append(len(value))
            for key, one in value.items():
                add(key)
                add(one)
        else:
            found.append(value)
            seen.add(id(value))
            if isinstance(value, keras.Operation):
                add_operation(value)

    def add_operation(operation):
        if isinstance(operation, keras.Layer):
            found.extend((operation.trainable, operation.dtype_policy.name))
        ignored = _bookkeeping(keras.Model if isinstance(operation, keras.Model) else keras.Layer)
        for name, value in vars(operation).items():
            if name not in ignored and not name.startswith("_self_"):  # those are TensorFlow's
                found.append(name)
                add(value)

    for operation in operations:
        add(operation)
    return found


@functools.cache
def _bookkeeping(kind):
    """What Keras itself keeps in every layer, such as its calls: nothing of what it computes."""
    return frozenset(vars(kind(name="any")))
