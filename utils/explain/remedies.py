"""The ways out that errors name, as expressions that can be pasted."""

import keras

from utils.explain.keras_graph import has_weights


def instead_of(call):
    """A model that ends in the logits that a call makes probabilities of."""
    if not has_weights(call):
        return f"where its input is the logits, {cut(call, 'input')}."
    return (
        "put a layer that has its weights, but gives logits, in its place: layer = "
        f"{find_expression(call)}; logits = keras.layers.Dense(classes); model = "
        "keras.Model(model.input, logits(layer.input)); logits.set_weights(layer.get_weights())."
    )


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
    *parents, _ = call.path.split("/")
    owner = _model_of(parents)
    place = f" in the place of the nested model {'/'.join(parents)!r}" if parents else ""
    return f"keras.Model({owner}.input, {find_expression(call)}.{side}){place}"
