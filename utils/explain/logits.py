"""Goes back from a model's output to the logits, past softmax, sigmoid, casts and reshapes.

A probability also falls when another class rises, so its gradient answers another question than
that of the logit, and fades to zero for confident predictions. Probabilities are recognized by
what a call does to numbers, not by its name alone: `Activation("softmax")`, `Softmax()`,
`keras.ops.softmax` and a `Lambda` around it are one and the same here.
"""

import math
import warnings
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from utils.explain.keras_graph import Call, Slot, run_calls

LINKS = {
    "softmax": ops.softmax,
    "sigmoid": ops.sigmoid,
    "hard sigmoid": ops.hard_sigmoid,
    "log-softmax": ops.log_softmax,
}


class Head(NamedTuple):
    """Where the logits of a model are, and how to compute them."""

    calls: list  # of `Call`, those that lead to the logits
    logits: int  # the number of the value
    classes: int  # logits an image; 1 stands for two classes, see `utils.explain.checks`
    link: str  # a name of `LINKS`: what makes probabilities of them
    sure: bool  # False where only their values tell whether they are probabilities
    mixed: bool  # probabilities enter what gives them, such as the mean of two softmax heads
    after_softmax: bool  # a softmax over these very classes does, whatever is done to it then


def find_logits(graph):
    """Goes back to the logits of a model; the model itself stays as it is.

    Args:
        graph: `utils.explain.graph.Graph`.

    Returns:
        A `Head`.

    Raises:
        ValueError: when the output has no fixed number of classes, or is a probability from which
            no way leads back.
    """
    makers = {value: call for call in graph.calls for value in call.outputs}
    shape = graph.specs[graph.output].shape
    classes = math.prod(shape[1:]) if len(shape) > 1 and None not in shape[1:] else None
    if classes is None or classes != shape[-1]:
        raise ValueError(
            f"The model must end in logits (batch, classes), got shape {shape}. One number for "
            "each image and class is needed: keras.Model(model.input, "
            "keras.layers.GlobalAveragePooling2D()(model.output)) for a map of logits, "
            "keras.layers.Reshape((1,))(model.output) for a single logit without a class axis."
        )
    value, link, extra = graph.output, None, {}
    while value in makers:
        call = makers[value]
        effect = _effect(call, graph)
        if effect in LINKS:
            link = link or effect
        elif effect is None and _activation_effect(call, graph) in LINKS:
            link = link or _activation_effect(call, graph)
            extra[value] = _without_activation(call, graph)
            break
        elif effect != "same":
            break
        (value,) = call.inputs
    linear = value in extra or value == 0 or _is_linear_layer(makers[value].operation)
    if not linear and _squashes(makers[value], graph):
        _refuse(makers[value])
    calls = [extra.get(call.outputs[0], call) for call in graph.calls]
    one_by_one = link in ("sigmoid", "hard sigmoid")  # each column apart, as for several labels
    link = link if one_by_one else "sigmoid" if classes == 1 else "softmax"
    behind = [] if linear else _probabilities_behind(value, makers, graph)
    after_softmax = any(
        graph.specs[call.outputs[0]].shape == graph.specs[value].shape
        and (_effect(call, graph) or _activation_effect(call, graph)) in ("softmax", "log-softmax")
        for call in behind
    )
    return Head(needed(calls, value), value, classes, link, linear, bool(behind), after_softmax)


def _refuse(call):
    """The output is a probability, and the call that makes it cannot be gone back through."""
    if getattr(call.operation, "weights", ()):
        remedy = (
            "put a layer that has its weights, but gives logits, in its place: logits = "
            "keras.layers.Dense(classes); model = keras.Model(model.input, logits(layer.input)); "
            "logits.set_weights(...)."
        )
    else:
        remedy = "where its input is the logits, keras.Model(model.input, layer.input)."
    raise ValueError(
        f"{call.path!r} gives numbers from 0 to 1 whatever it takes, so the model ends in "
        "probabilities; Grad-CAM needs the gradient of the logit. Explain a model that shares the "
        f"other layers and ends in logits: {remedy}"
    )


def needed(calls, *values):
    """The calls that lead to values, in their order."""
    wanted, kept = set(values), []
    for call in reversed(calls):
        if wanted & set(call.outputs):
            wanted |= set(call.inputs)
            kept.append(call)
    return kept[::-1]


def check_logits(head, logits):
    """Refuses what the values give away as probabilities.

    Args:
        head: `Head`.
        logits: float (N, classes).

    Raises:
        ValueError: when all rows sum to 1 and nothing is negative, when probabilities enter the
            last calls and all values are from 0 to 1, or when a softmax over the classes does.
    """
    if head.sure:
        return
    positive = logits.min() >= 0
    sums = positive and logits.shape[1] > 1 and np.abs(logits.sum(axis=1) - 1).max() < 1e-2
    if sums or (positive and head.mixed and logits.max() <= 1):
        raise ValueError(
            f"The model gives probabilities (values from {logits.min():.3g} to "
            f"{logits.max():.3g}{', rows sum to 1' if sums else ''}) from which no way leads back "
            "to logits. Where several heads are averaged, average their logits, or explain one of "
            "them: keras.Model(model.input, head.output)."
        )
    if head.after_softmax:
        raise ValueError(
            f"The model changes the probabilities of a softmax (now {logits.min():.3g} to "
            f"{logits.max():.3g}) in a way that leads not back to logits. Explain a model that "
            "ends before the softmax: keras.Model(model.input, layer.input)."
        )


def _effect(call, graph):
    """ "same" for a cast or a reshape, a name of `LINKS`, or None for anything else.

    It is found out by trying: a call without weights on one tensor gets random numbers.
    """
    if len(call.inputs) != 1 or getattr(call.operation, "weights", ()):
        return None
    given = _random_input(call, graph)
    found = _try(call, given)
    if found is None or found.size != given.size:
        return None
    if np.allclose(found.ravel(), given.ravel(), rtol=1e-2, atol=1e-2):
        return "same"
    return _link_between(given, found)


def _activation_effect(call, graph):
    """What the activation of a layer with weights does, such as that of a Dense layer."""
    activation = getattr(call.operation, "activation", None)
    if not callable(activation) or len(call.inputs) != 1:
        return None
    shape = [2 if side is None else side for side in graph.specs[call.outputs[0]].shape]
    given = np.random.default_rng(0).normal(0, 3, (16, *shape[1:])).astype("float32")
    return _link_between(given, _to_numpy(activation(ops.convert_to_tensor(given))))


def _link_between(given, found):
    tensor = ops.convert_to_tensor(given)
    for name, link in LINKS.items():
        if name == "softmax" and given.shape[-1] == 1:  # always 1, whatever the logit
            continue
        expected = _to_numpy(link(tensor))
        close = 5e-3 * np.abs(expected).max()  # as near as half precision allows
        if np.abs(expected - found.reshape(given.shape)).max() < close:
            return name
    return None


def _squashes(call, graph):
    """Whether a call gives numbers from 0 to 1 even for inputs far from 0."""
    found = _try(call, 30 * _random_input(call, graph)) if len(call.inputs) == 1 else None
    return found is not None and found.min() >= 0 and 0 < found.max() <= 1 + 1e-3


def _probabilities_behind(value, makers, graph):
    """The calls of softmax and its like that one meets going back through calls without weights."""
    todo, seen, met = [value], set(), []
    while todo:
        value = todo.pop()
        if value in seen or value not in makers:
            continue
        seen.add(value)
        call = makers[value]
        if (
            _effect(call, graph) in LINKS
            or _activation_effect(call, graph) in LINKS
            or _squashes(call, graph)
        ):
            met.append(call)
        if not getattr(call.operation, "weights", ()):
            todo.extend(call.inputs)
    return met


def _is_linear_layer(operation):
    """Whether a layer of Keras multiplies by a kernel and does nothing after that."""
    activation = getattr(operation, "activation", "none")
    return activation in (None, keras.activations.linear) and hasattr(operation, "kernel")


def _random_input(call, graph):
    shape = [2 if side is None else side for side in graph.specs[call.inputs[0]].shape]
    return np.random.default_rng(0).normal(0, 3, (16, *shape[1:])).astype("float32")


def _try(call, given):
    """What a call makes of random numbers; None where it takes other numbers or fails."""
    values = {call.inputs[0]: ops.convert_to_tensor(given)}
    try:
        with keras.StatelessScope():
            run_calls([call], values)
    except Exception:  # of any layer, a user's own too: then nothing is known about it
        return None
    return _to_numpy(values[call.outputs[0]])


def _to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


class _WithoutActivation:
    """A layer as it is before its activation, computed with the weights of that layer."""

    def __init__(self, layer):
        self.name, self.layer, self.variables = layer.name, layer, layer.variables
        with warnings.catch_warnings():  # of an activation that cannot be written: it is left out
            warnings.simplefilter("ignore")
            config = layer.get_config() | {"activation": None}
        self.bare = type(layer).from_config(config)

    def __call__(self, x):
        if not self.bare.built:
            self.bare.build(x.shape)
        groups = self.layer.trainable_variables, self.layer.non_trainable_variables
        outputs, _ = self.bare.stateless_call(*([v.value for v in g] for g in groups), x)
        return outputs


def _without_activation(call, graph):
    """The call once more without its activation, checked against the original on random numbers."""
    layer = call.operation
    try:
        bare = _WithoutActivation(layer)
        bare.bare.trainable = layer.trainable
        new = Call(bare, call.path, (Slot(call.inputs[0]),), {}, *call[4:])
        given = _random_input(call, graph)
        logits, found = _try(new, given), _try(call, given)
        again = _to_numpy(layer.activation(ops.convert_to_tensor(logits)))
        agrees = np.allclose(again, found, rtol=1e-2, atol=1e-2 * found.max())
    except Exception:  # a layer whose configuration does not say all that it is
        agrees = False
    if not agrees:
        raise ValueError(
            f"The last layer {layer.name!r} gives probabilities, and could not be rebuilt without "
            "its activation. Build the model with a layer of logits and the activation after it."
        )
    return new
