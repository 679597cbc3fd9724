"""The ways out that errors name, as expressions that can be pasted.

They say `inputs` and `outputs`: a `Sequential` has no `input` before it is called, and then that
of the call.
"""

import keras

from utils.explain.keras_graph import has_weights


def instead_of(call):
    """A model that ends in the logits that a call makes probabilities of."""
    if not has_weights(call):
        return f"where its input is the logits, {cut(call, 'input')}."
    if hasattr(call.operation, "activation"):
        return without_activation(call)
    inputs, place = _inputs(call)
    return (
        "write a layer `logits` that has its weights and computes the same up to the logits, and "
        f"put it in its place: layer = {find_expression(call)}; model = "
        f"keras.Model({inputs}, logits(layer.input)){place}; "
        "logits.set_weights(layer.get_weights())."
    )


def without_activation(call, behind=()):
    """A model in which a layer has no activation; what is called behind it is called again.

    Args:
        call: `utils.explain.keras_graph.Call` of the layer.
        behind: calls of one input each, from the layer to the output.
    """
    inputs, place = _inputs(call)
    output = "bare(layer.input)"
    for one in behind:
        output = f"{find_expression(one)}({output})"
    return (
        f"layer = {find_expression(call)}; bare = type(layer).from_config(layer.get_config() | "
        f"{{'activation': None}}); model = keras.Model({inputs}, {output}){place}; "
        "bare.set_weights(layer.get_weights())."
    )


def with_fixed_inputs(model):
    """A model of the image alone, the first input with four axes; the others have a fixed value."""
    image = next((i for i, one in enumerate(model.inputs) if len(one.shape) == 4), 0)
    given = ["image" if i == image else "fixed" for i in range(len(model.inputs))]
    return (
        "image = keras.Input((height, width, channels)); fixed = keras.layers.Lambda(lambda x: "
        "keras.ops.broadcast_to(value, (keras.ops.shape(x)[0], *value.shape)))(image); model = "
        f"keras.Model(image, model([{', '.join(given)}]))"
    )


def opened(call):
    """A model in which a layer that hides layers of its own is a nested model with a graph."""
    owner, place = _owner(call)
    return (
        f"layer = {find_expression(call)}; x = keras.Input(layer.input.shape[1:], "
        "dtype=layer.input.dtype); opened = keras.Model(x, layer.call(x), name=layer.name); model "
        f"= keras.models.clone_model({owner}, clone_function=lambda one: opened if one is layer "
        f"else one){place}"
    )


def _owner(call):
    """The expression of the model that a call belongs to; and, of a nested one, its place."""
    *parents, _ = call.path.split("/")
    place = f" in the place of the nested model {'/'.join(parents)!r}" if parents else ""
    return _model_of(parents), place


def _inputs(call):
    """The expression of what the model of a call takes, one image at the top; and its place."""
    owner, place = _owner(call)
    return f"{owner}.inputs{'' if place else '[0]'}", place


def _model_of(parents):
    return ".".join(["model", *(f"get_layer({one!r})" for one in parents)])


def find_expression(call):
    """The expression that finds the operation of a call."""
    *parents, name = call.path.split("/")
    owner = _model_of(parents)
    operation = call.operation
    if isinstance(operation, keras.Operation) and not isinstance(operation, keras.Layer):
        return f"next(one for one in {owner}.operations if one.name == {name!r})"
    return f"{owner}.get_layer({name!r})"


def cut(call, side):
    """The expression of a model that ends at a call, before ("input") or behind it ("output")."""
    inputs, place = _inputs(call)
    return f"keras.Model({inputs}, {find_expression(call)}.{side}){place}"
