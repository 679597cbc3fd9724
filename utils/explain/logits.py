"""Goes back from a model's output to the logits, past softmax, sigmoid, casts and reshapes.

A probability also falls when another class rises, so its gradient answers another question than
that of the logit, and fades to zero for confident predictions. Probabilities are recognized by
what calls do to numbers, see `utils.explain.effects`.
"""

import math
from typing import NamedTuple

import keras
from keras import ops

from utils.explain.bare_layer import BareLayer, activation_apart
from utils.explain.effects import LINKS, effect_of, squashes
from utils.explain.keras_graph import Call, Slot, has_weights, needed
from utils.explain.remedies import cut, instead_of, without_activation
from utils.training.evaluation import sum_to_one


class Head(NamedTuple):
    """Where the logits of a model are, and how to compute them."""

    calls: list  # of `Call`, those that lead to the logits
    logits: int  # the number of the value
    classes: int  # logits an image; 1 stands for two classes, see `utils.explain.checks`
    link: str  # "softmax", "sigmoid" or "hard sigmoid": what makes probabilities of them
    sure: bool  # False where only their values tell whether they are probabilities
    mixed: bool  # probabilities enter what gives them, such as the mean of two softmax heads
    remedy: str  # what to explain instead, should they be probabilities


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
    _check_shape(graph.specs[graph.output].shape)
    calls, specs = _activations_apart(graph)
    makers = {value: call for call in calls for value in call.outputs}
    value, link, other_side = _go_back(graph.output, calls, makers, specs)
    classes, made = math.prod(specs[value].shape[1:]), makers.get(value)
    sure = made is None or isinstance(made.operation, BareLayer) or _is_linear(made)
    probabilities, others = [], []
    if not sure:
        if _squashes(made, specs):
            _refuse_squashed(f"{made.path!r} gives", instead_of(made))
        probabilities, others = _sources(value, makers, specs)
        _check_sources(probabilities, others, specs, classes)
        for start, block in _blocks(value, calls, makers):
            if start in makers and squashes(block, start, value, specs[start]):
                last = makers[start]
                remedy = f"{cut(last, 'output')}."
                if isinstance(last.operation, BareLayer) and len(specs[start].shape) > 2:
                    remedy = without_activation(last, block[1:])  # `.output` of a map is activated
                _refuse_squashed(f"The calls after {last.path!r} give", remedy)
    if other_side:  # of two classes: what the model gives is the probability of the other one
        negative = max(specs) + 1
        call = Call(ops.negative, "negative", (Slot(value),), {}, (value,), (negative,), ())
        calls, value = [*calls, call], negative
    source = [] if made is None or has_weights(made) else [*probabilities, *others]
    remedy = f"{cut(source[0], 'output')}." if source else instead_of(made) if made else ""
    link = _link_of(link, classes)
    return Head(needed(calls, value), value, classes, link, sure, bool(probabilities), remedy)


def check_logits(head, logits):
    """Refuses what the values give away as probabilities.

    Args:
        head: `Head`.
        logits: float (N, classes).

    Raises:
        ValueError: when all rows sum to 1 and nothing is negative, or when probabilities enter the
            last calls and all values are from 0 to 1.
    """
    if head.sure:
        return
    positive = logits.min() >= 0
    sums = sum_to_one(logits, tolerance=1e-2)
    if sums or (positive and head.mixed and logits.max() <= 1):
        raise ValueError(
            f"The model gives probabilities (values from {logits.min():.3g} to "
            f"{logits.max():.3g}{', rows sum to 1' if sums else ''}) from which no way leads back "
            f"to logits. Explain what gives the logits: {head.remedy}"
        )


# The way back ---------------------------------------------------------------------------------


def _check_shape(shape):
    if len(shape) < 2 or None in shape[1:] or math.prod(shape[1:]) != shape[-1]:
        raise ValueError(
            f"The model must end in logits (batch, classes), got shape {shape}. One number for "
            "each image and class is needed: keras.Model(model.inputs[0], "
            "keras.layers.GlobalAveragePooling2D()(model.outputs[0])) for a map of logits, "
            "keras.layers.Reshape((1,))(model.outputs[0]) for a single logit without a class axis."
        )


def _activations_apart(graph):
    """The calls of a graph; the softmax or the like within a last layer is a call of its own.

    Returns:
        (calls, specs): a list of `Call`, and a dict from number to `keras.KerasTensor`.
    """
    makers = {value: call for call in graph.calls for value in call.outputs}
    ends = {call.outputs[0] for call in _behind(graph.output, makers, has_weights)}
    calls, specs = [], dict(graph.specs)
    for call in graph.calls:
        between = max(specs) + 1
        parts = activation_apart(call, specs, between) if call.outputs[0] in ends else [call]
        specs |= {between: call.specs[0]} if len(parts) == 2 else {}
        calls += parts
    return calls, specs


def _go_back(output, calls, makers, specs):
    """The value farthest from the output of which it is still the softmax, the like, or a copy.

    Returns:
        (value, link, other side): its number; the name in `LINKS` of what is made of it at last,
        or None; and whether a high value speaks for the first one of two classes.
    """
    value, link, other_side, tail = output, None, False, []
    while step := _step_back(value, output, tail, calls, makers, specs):
        value, block, found, whole = step
        tail = block + tail
        if whole in LINKS:
            link, other_side = whole, whole == "1 - sigmoid"
        elif found in LINKS:  # a softmax of a softmax, say
            link, other_side = link or found, other_side != (found == "1 - sigmoid")
    return value, link, other_side


def _step_back(value, output, tail, calls, makers, specs):
    """The nearest value that this one, or the output, is the softmax of, the like, or a copy.

    Returns:
        (start, block, found, whole): its number, the calls from there, and their effect, without
        and with the calls of `tail`, which lead to the output; None at the end of the way.
    """
    for start, block in _blocks(value, calls, makers):
        if None not in specs[start].shape[1:]:
            found = effect_of(block, start, value, specs[start])
            # Such as softmax(z - max(z)), of which the second step alone is nothing known.
            whole = effect_of(block + tail, start, output, specs[start]) if tail else found
            if found or whole in LINKS:
                return start, block, found, whole
    return None


def _blocks(value, calls, makers):
    """Goes back through calls without weights: each value that all ways to this one pass.

    Yields:
        (start, calls): its number, and the calls from there.
    """
    order = {value: position for position, call in enumerate(calls) for value in call.outputs}
    waiting, block = {value}, []
    while waiting:
        last = max(waiting, key=lambda one: order.get(one, -1))
        if last not in makers or has_weights(makers[last]):
            return
        block.insert(0, makers[last])
        waiting = (waiting - set(makers[last].outputs)) | set(makers[last].inputs)
        if len(waiting) == 1:
            (start,) = waiting
            yield start, list(block)


def _link_of(link, classes):
    if link == "hard sigmoid":
        return link
    one_by_one = link in ("sigmoid", "log-sigmoid", "1 - sigmoid")  # as for several labels
    return "sigmoid" if one_by_one or classes == 1 else "softmax"


def _is_linear(call):
    """Whether a layer of Keras multiplies by a kernel and does nothing after that."""
    activation = getattr(call.operation, "activation", "none")
    return activation in (None, keras.activations.linear) and hasattr(call.operation, "kernel")


# Probabilities that no way leads back from ----------------------------------------------------


def _behind(value, makers, stops):
    """The calls at which one stops going back from a value."""
    todo, seen, found = [value], set(), []
    while todo:
        value = todo.pop(0)
        if value in makers and value not in seen:
            seen.add(value)
            if stops(makers[value]):
                found.append(makers[value])
            else:
                todo.extend(makers[value].inputs)
    return found


def _sources(value, makers, specs):
    """What the calls without weights that lead to a value start from.

    Returns:
        (probabilities, others): two lists of `Call`.
    """

    def is_probability(call):
        single = len(call.inputs) == 1 and not has_weights(call)
        effect = single and effect_of([call], *call.inputs, call.outputs[0], specs[call.inputs[0]])
        return effect in LINKS or _squashes(call, specs)

    probabilities, others = [], []
    for call in _behind(value, makers, lambda call: has_weights(call) or is_probability(call)):
        (probabilities if is_probability(call) else others).append(call)
    return probabilities, others


def _squashes(call, specs):
    if len(call.inputs) != 1:
        return False
    (value,) = call.inputs
    return squashes([call], value, call.outputs[0], specs[value])


def _refuse_squashed(what, remedy):
    raise ValueError(
        f"{what} numbers from 0 to 1 whatever is put in, so the model ends in probabilities; "
        "Grad-CAM needs the gradient of the logit. Explain a model that shares the other layers "
        f"and ends in logits: {remedy}"
    )


def _check_sources(probabilities, others, specs, classes):
    """Refuses what is computed of probabilities of the classes alone, whatever its values."""
    widths = {math.prod(specs[call.outputs[0]].shape[1:]) for call in probabilities}
    if not probabilities or others or not widths <= {1, classes}:
        return
    names = " and ".join(repr(call.path) for call in probabilities)
    several = "Mix the logits of the heads instead, or explain one head"
    raise ValueError(
        f"The model changes the probabilities of {names}, from which no way leads back to logits. "
        f"{several if len(probabilities) > 1 else 'Explain them as they are'}: "
        f"{cut(probabilities[0], 'output')}."
    )
