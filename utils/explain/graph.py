"""Finds a layer in the graph of a functional model, and cuts the model there."""

import difflib
import graphlib

import keras


def graph_nodes(model):
    """Lists the calls of the model's layers, as Keras recorded them.

    Args:
        model: functional or built sequential `keras.Model`, one input and one output.

    Returns:
        List of Keras's `Node` objects (operation, input_tensors, outputs), each after those whose
        outputs it takes: the input first, the call that gives the model's output last.

    Raises:
        ValueError: when the model has no graph, or several inputs or outputs.
    """
    if len(getattr(model, "inputs", None) or []) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Grad-CAM needs a functional or built sequential model with one input and one output; "
            f"{getattr(model, 'name', model)!r} is none."
        )
    return _sorted_nodes(model.outputs)


def _sorted_nodes(outputs):
    """The calls that lead to the outputs, each after those whose outputs it takes."""
    parents, todo = {}, [producer(tensor) for tensor in outputs]
    while todo:
        node = todo.pop()
        if node not in parents:
            parents[node] = [producer(tensor) for tensor in node.input_tensors]
            todo.extend(parents[node])
    return list(graphlib.TopologicalSorter(parents).static_order())


def flatten(model):
    """A model without nested models: the same layers and weights, in one graph.

    Args:
        model: functional or built sequential `keras.Model`.

    Returns:
        `model` itself when it nests none; else a functional model that shares its layers, so that
        a layer of a nested backbone can be explained like any other.

    Raises:
        ValueError: as `graph_nodes`, or when a nested model has no graph of its own.
    """
    if not any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    graph_nodes(model)  # refuses several inputs and models without a graph
    inputs = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    return keras.Model(inputs, _replay(model, [inputs])[0], name=model.name)


def _replay(model, inputs):
    """Calls the layers of a model once more, on other symbolic inputs, opening nested models."""
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"The nested model {model.name!r} has no graph, so its layers cannot be explained; "
            "build it as a functional or sequential model."
        )
    tensors = dict(zip(map(id, model.inputs), inputs, strict=True))
    for node in _sorted_nodes(model.outputs):
        if node.is_input:
            continue
        new = [tensors[id(tensor)] for tensor in node.input_tensors]
        if isinstance(node.operation, keras.Model):
            results = _replay(node.operation, new)
        else:
            args, kwargs = node.arguments.fill_in(tensors)
            results = keras.tree.flatten(node.operation(*args, **kwargs))
        tensors.update(zip(map(id, node.outputs), results, strict=True))
    return [tensors[id(tensor)] for tensor in model.outputs]


def producer(tensor):
    """Returns the call (`Node`) that yields a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def last_spatial_layer(model):
    """Names the last layer in the graph that still has a spatial output.

    Spatial is a float (batch, height, width, channels) of more than 1x1 pixels.

    Args:
        model: a functional or sequential `keras.Model` with one image input.

    Returns:
        The name, a str; `model.get_layer(name)` finds it.

    Raises:
        ValueError: when the model has no graph or no layer with a spatial output.
    """
    spatial = [node.operation.name for node in graph_nodes(model) if _is_spatial(node)]
    if not spatial:
        raise ValueError(
            f"Model {model.name!r} has no layer with a spatial output (batch, height, width, "
            f"channels) before its logits."
        )
    return spatial[-1]


def find_node(model, nodes, name):
    """Finds the call of a layer with a spatial output.

    Args:
        model: the `keras.Model`.
        nodes: its calls, from `graph_nodes(model)`.
        name: str, name of the layer.

    Returns:
        The `Node`.

    Raises:
        ValueError: when the model has no such layer, calls it several times, or its output is not
            a float (batch, height, width, channels).
    """
    calls = [node for node in nodes if node.operation.name == name]
    if not calls:
        names = [node.operation.name for node in nodes]
        raise ValueError(
            f"Model {model.name!r} has no layer {name!r}. Close matches: "
            f"{difflib.get_close_matches(str(name), names) or 'none'}; the default is "
            f"{last_spatial_layer(model)!r}."
        )
    if len(calls) > 1:
        raise ValueError(
            f"Layer {name!r} is called {len(calls)} times, so its output is ambiguous. Give each "
            "call a layer of its own."
        )
    if not _is_spatial(calls[0]):
        raise ValueError(
            f"Layer {name!r} gives {calls[0].outputs[0].dtype} {calls[0].outputs[0].shape}; "
            "Grad-CAM needs a floating-point output (batch, height, width, channels). The default "
            f"is {last_spatial_layer(model)!r}."
        )
    return calls[0]


def cut_at(nodes, node):
    """Cuts the model after one call, into a trunk before and a head behind it.

    Inside a residual branch the shortcut passes around the layer; it reaches the head as a tensor
    of its own, which Grad-CAM holds constant, so that the gradient is with respect to the explained
    activations alone.

    Args:
        nodes: the calls of the model, from `graph_nodes(model)`.
        node: the call to cut after, one of `nodes`.

    Returns:
        The symbolic tensor that the trunk gives and the head takes; or a list of them, when others
        pass around the cut, with that of `node` first.

    Raises:
        ValueError: when a layer is called before and after the cut.
    """
    below, around = {node}, {}
    for later in nodes[nodes.index(node) + 1 :]:
        if any(producer(tensor) in below for tensor in later.input_tensors):
            below.add(later)
    for later in below - {node}:
        around.update({id(t): t for t in later.input_tensors if producer(t) not in below})
    cut = [node.outputs[0], *around.values()]
    shared = {producer(t).operation.name for t in cut} & {n.operation.name for n in below - {node}}
    if shared:
        raise ValueError(
            f"Layers {sorted(shared)} are called before and after {node.operation.name!r}, so the "
            "model cannot be cut there. Give each call a layer of its own."
        )
    return cut if len(cut) > 1 else cut[0]


def _is_spatial(node):
    """Whether a call yields one float (batch, height, width, channels) of more than 1x1 pixels."""
    shape = node.outputs[0].shape
    several_positions = len(shape) == 4 and tuple(shape[1:3]) != (1, 1)
    return several_positions and not node.is_input and "float" in node.outputs[0].dtype
