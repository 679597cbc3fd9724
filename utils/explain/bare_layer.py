"""Takes the softmax, or another activation, of a last layer apart from it."""

import warnings

import keras
import numpy as np

from utils.explain.effects import activation_effect, random_input, run
from utils.explain.keras_graph import Call, Slot


class BareLayer:
    """A layer as it is before its activation, computed with the weights of that layer."""

    def __init__(self, layer):
        self.name, self.layer = layer.name, layer
        self.weights, self.variables = layer.weights, layer.variables
        with warnings.catch_warnings():  # of an activation that cannot be written: it is left out
            warnings.simplefilter("ignore")
            config = layer.get_config() | {"activation": None}
        self.bare = type(layer).from_config(config)

    def __call__(self, x):
        if not self.bare.built:
            self.bare.build(x.shape)
        pairs = zip(self.bare.variables, self.variables, strict=True)
        state = [(mine, theirs.value) for mine, theirs in pairs]
        with keras.StatelessScope(state):
            return self.bare(x)


def activation_apart(call, specs, between):
    """Makes two calls of one whose activation gives probabilities.

    Args:
        call: `utils.explain.keras_graph.Call`.
        specs: dict from the number of a value to its `keras.KerasTensor`.
        between: int, the number for the value before the activation.

    Returns:
        A list of two `Call`; of the call itself where its activation does something else, or where
        the layer cannot be rebuilt: then it does not give on random numbers what it gave.
    """
    if not activation_effect(call):
        return [call]
    layer = call.operation
    try:
        bare = Call(BareLayer(layer), call.path, (Slot(call.inputs[0]),), {}, *call[4:])
        activation = Call(layer.activation, call.path, (Slot(between),), {}, *call[4:])
        bare = bare._replace(outputs=(between,))
        activation = activation._replace(inputs=(between,))
        given = {call.inputs[0]: random_input(specs[call.inputs[0]])}
        again, found = (run(c, given, call.outputs[0]) for c in ([bare, activation], [call]))
        agrees = np.allclose(again, found, rtol=1e-2, atol=1e-2 * np.abs(found).max())
    except Exception:  # a layer whose configuration does not say all that it is
        return [call]
    return [bare, activation] if agrees else [call]
