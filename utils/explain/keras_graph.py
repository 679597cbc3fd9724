"""Reads the graph that Keras recorded when a model was built: the one module that knows how.

Keras has no public way to read it without changing it: `keras.models.clone_model` with a
`call_function` calls every layer of the user's model once more, which leaves a trace in each of
them, and takes no `Sequential`. So four private names are read here, and nowhere else:
`KerasTensor._keras_history`, `Operation._inbound_nodes`, `Layer._flatten_layers` and the
`arguments` of a node.
"""

import graphlib
import inspect
from typing import NamedTuple

import keras


class Slot:
    """Stands for a tensor in the recorded arguments of a call: the number of its value."""

    def __init__(self, index):
        self.index = index


class Call(NamedTuple):
    """One call of a layer or operation; values are numbered, 0 is the input of the model."""

    operation: object  # keras.Layer, keras.Operation or another callable
    path: str  # names of the nested models around it and its own, joined by "/"
    args: tuple  # recorded arguments, with a `Slot` in the place of each tensor
    kwargs: dict
    inputs: tuple  # of int, the values it takes
    outputs: tuple  # of int, the values it gives
    specs: tuple  # keras.KerasTensor (shape, dtype) of each output


def has_graph(model):
    """Whether a model was built from symbolic tensors, and computes what its graph says."""
    functional = isinstance(model, keras.Model) and bool(_inputs(model))
    return functional and type(model).call.__module__.partition(".")[0] == "keras"


def _inputs(model):
    try:
        return model.inputs
    except AttributeError:  # a Sequential that has not been built
        return None


def read_calls(model):
    """Lists the calls of a model with one input, nested models opened.

    A nested model without a graph of its own (a subclass with its own `call`) stays one call.

    Args:
        model: functional or built sequential `keras.Model`, see `has_graph`.

    Returns:
        (calls, outputs, ends): a list of `Call`, each after those whose values it takes; the
        numbers of the model's outputs; and a dict from the path of each nested model to a list of
        (numbers of its output values, the model), an entry for each time it is called.
    """
    calls, ends, count = [], {}, iter(range(1, 10**9))

    def add(operation, path, args, kwargs, inputs, specs):
        outputs = tuple(next(count) for _ in specs)
        calls.append(Call(operation, path, args, kwargs, inputs, outputs, tuple(specs)))
        return outputs

    def walk(inner, values, parents):
        known = dict(zip(map(id, inner.inputs), values, strict=True))
        for node in _sorted_nodes(inner.outputs):
            if node.is_input:
                continue
            operation, path = node.operation, "/".join((*parents, node.operation.name))
            taken = tuple(known[id(tensor)] for tensor in node.input_tensors)
            if _can_be_opened(operation, node):
                pairs = zip(taken, node.input_tensors, operation.inputs)
                entered = [
                    # A nested model casts what it is given to the type of its own input.
                    value
                    if given.dtype == wanted.dtype
                    else add(Cast(wanted.dtype), path, (Slot(value),), {}, (value,), [wanted])[0]
                    for value, given, wanted in pairs
                ]
                results = walk(operation, entered, (*parents, operation.name))
                ends.setdefault(path, []).append((tuple(results), operation))
            else:
                args, kwargs = keras.tree.map_structure(
                    lambda one: Slot(known[id(one)]) if isinstance(one, keras.KerasTensor) else one,
                    (node.arguments.args, node.arguments.kwargs),
                )
                results = add(operation, path, args, kwargs, taken, node.outputs)
            known.update(zip(map(id, node.outputs), results, strict=True))
        return [known[id(tensor)] for tensor in inner.outputs]

    outputs = walk(model, [0], ())
    return calls, outputs, ends


class Cast:
    """What a nested model does at its entrance: it casts to the type of its input."""

    def __init__(self, dtype):
        self.name, self.dtype = "cast", dtype

    def __call__(self, x):
        return keras.ops.cast(x, self.dtype)


def run_calls(calls, values):
    """Calls the operations again, at inference, on other tensors.

    Args:
        calls: list of `Call`, each after those whose values it takes.
        values: dict from number to tensor, with what the calls take from outside; it receives
            what they give.
    """
    for call in calls:
        args, kwargs = keras.tree.map_structure(
            lambda one: values[one.index] if isinstance(one, Slot) else one,
            (call.args, call.kwargs),
        )
        if _takes_training(call.operation):
            kwargs["training"] = False
        results = keras.tree.flatten(call.operation(*args, **kwargs))
        values.update(zip(call.outputs, results, strict=True))


def needed(calls, *values):
    """The calls that lead to values, in their order."""
    wanted, kept = set(values), []
    for call in reversed(calls):
        if wanted & set(call.outputs):
            wanted |= set(call.inputs)
            kept.append(call)
    return kept[::-1]


def has_weights(call):
    """Whether a call is that of a layer with weights."""
    return bool(getattr(call.operation, "weights", ()))


def has_kernel(operation):
    """Whether an operation has learned more than a factor and an offset a channel."""
    weights = getattr(operation, "weights", ())
    normalization = isinstance(operation, keras.layers.Normalization)
    return not normalization and any(len(weight.shape) >= 2 for weight in weights)


def parts_of(operation):
    """An operation and, of a layer, the layers within it."""
    within = getattr(operation, "_flatten_layers", lambda: [operation])
    return list(within())


def _takes_training(operation):
    method = getattr(operation, "call", None)
    return method is not None and "training" in inspect.signature(method).parameters


def _can_be_opened(operation, node):
    """Whether a call is that of a nested model with a graph, on its inputs in their own order."""
    given = node.arguments.args[0] if node.arguments.args else None
    by_name = isinstance(given, dict) and has_graph(operation) and len(operation.inputs) > 1
    return (
        has_graph(operation)
        and not (by_name and not isinstance(operation.input, dict))
        and len(node.input_tensors) == len(operation.inputs)
        and all(
            len(given.shape) == len(wanted.shape)
            for given, wanted in zip(node.input_tensors, operation.inputs)
        )
    )


def _sorted_nodes(outputs):
    """The calls that lead to the outputs, each after those whose outputs it takes."""
    parents, todo = {}, [_producer(tensor) for tensor in outputs]
    while todo:
        node = todo.pop()
        if node not in parents:
            parents[node] = [_producer(tensor) for tensor in node.input_tensors]
            todo.extend(parents[node])
    return list(graphlib.TopologicalSorter(parents).static_order())


def _producer(tensor):
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]
