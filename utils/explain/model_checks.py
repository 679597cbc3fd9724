"""Which models Grad-CAM takes: refuses the others by what can be done about them."""

import keras
from keras import layers

from utils.explain.keras_graph import has_graph, has_kernel, parts_of
from utils.explain.remedies import opened, with_fixed_inputs

FOREIGN = ("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")  # not made of Keras layers


def check_model(model):
    """Refuses what is no model with a graph, one input and one output."""
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"model must be a keras.Model (Keras {keras.__version__}), got "
            f"{type(model).__module__}.{type(model).__name__}."
        )
    if not has_graph(model):
        if isinstance(model, keras.Sequential):
            remedy = "Build it first: model.build((None, height, width, channels))."
        else:
            remedy = (
                "Make it functional, with the same layers and weights: x = keras.Input((height, "
                "width, channels)); model = keras.Model(x, model.call(x))."
            )
        raise ValueError(
            "Grad-CAM needs a functional or built sequential model; "
            f"{model.name!r} has no graph. {remedy}"
        )
    if len(model.inputs) != 1:
        raise ValueError(
            f"Grad-CAM explains models with one input, an image; {model.name!r} has "
            f"{len(model.inputs)}: {[one.name for one in model.inputs]}. Fix the others, each at a "
            "value, an array of the shape that one image gets, and name the layer to explain: "
            f"{with_fixed_inputs(model)}."
        )
    if len(model.outputs) != 1:
        raise ValueError(
            f"Grad-CAM needs a model with one output; {model.name!r} has {len(model.outputs)}: "
            f"{model.output_names}. Choose one: keras.Model(model.inputs[0], model.outputs[0])."
        )


def check_input(model, calls):
    """Refuses images with channels first, which a first layer turns round."""
    shape = tuple(model.inputs[0].shape)
    turned = any(
        isinstance(call.operation, layers.Permute)
        or type(call.operation).__name__ in ("Transpose", "Moveaxis")
        for call in calls
    )
    if turned and len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4):
        raise ValueError(
            f"The model takes images with channels first, {shape}; Grad-CAM needs channels last. "
            "Turn them round before it: image = keras.Input((height, width, channels)); model = "
            "keras.Model(image, model(keras.layers.Permute((3, 1, 2))(image)))."
        )


def check_channels_last(names):
    """Refuses layers with channels first; `names` are those of `utils.explain.graph.Graph`."""
    first = [
        name
        for name, (_, operation) in names.items()
        for part in parts_of(operation)
        if getattr(part, "data_format", None) == "channels_first"
    ]
    if first:
        raise ValueError(
            f"Layer {first[0]!r} works with channels first; Grad-CAM needs channels last. "
            'Build the model with data_format="channels_last" and copy the weights, which '
            "have the same shapes: model.set_weights(old.get_weights()). Then compare the "
            "logits of both on the same images: what a Flatten gives may have another order "
            "now, in which the rows of the kernel behind it must be put, too."
        )


def check_hidden(calls, specs, name):
    """Refuses a layer that makes maps and gives none: they are what should be explained.

    Args:
        calls: list of `utils.explain.keras_graph.Call`, those behind the last map.
        specs: dict from the number of a value to its `keras.KerasTensor`.
        name: str, of the last map before them, or None.
    """
    for call in calls:
        if _hides_maps(call, specs):
            remedy = f"Open it: {opened(call)}"
            if type(call.operation).__name__ in FOREIGN or len(call.inputs) > 1:
                remedy = "Put a functional model of Keras layers in its place"
            as_it_is = f" Or explain the map before it: layer={name!r}." if name else ""
            raise ValueError(
                f"{call.path!r} has convolutions inside and gives no map, so what it has seen "
                f"cannot be shown. {remedy}.{as_it_is}"
            )


def _hides_maps(call, specs):
    """Whether a call takes an image or a map, convolves it, and gives no positions.

    Neither a convolution of 1x1 nor a kernel as large as the map goes on with the positions: what
    has such ones only is a head, as the layer of a user that weighs the positions.
    """
    sizes = [tuple(specs[one].shape[1:3]) for one in call.inputs if len(specs[one].shape) == 4]
    maps = [tuple(one.shape[1:3]) for one in call.specs if len(one.shape) == 4]
    one_step = bool(maps) and len(parts_of(call.operation)) == 1  # such as Conv2D itself
    if not sizes or one_step or any(size != (1, 1) for size in maps):
        return False
    shapes = [tuple(weight.shape) for weight in getattr(call.operation, "weights", ())]
    kernels = [shape[:2] for shape in shapes if len(shape) == 4 and min(shape[:2]) > 1]
    return any(kernel not in sizes for kernel in kernels)


def refuse_without_map(model_name, shape, maps):
    """Refuses a model without a map to explain by default.

    Args:
        model_name: str.
        shape: of the model's input, with the batch.
        maps: bool, whether it has learned maps, though none that is passed by every path.
    """
    if not maps:
        raise ValueError(
            f"Model {model_name!r} takes {shape} and has no layer with a map (batch, height, "
            "width, channels), as a Conv2D gives. Grad-CAM explains where in an image a network "
            "with such maps finds its class; it does not suit this one."
        )
    raise ValueError(
        f"Model {model_name!r} has no layer with a map (batch, height, width, channels) of more "
        "than 1x1 positions that every path from input to output passes. Larger images have "
        "larger maps; else name a layer: layer=..."
    )


def check_tokens(calls, specs, name, model_name):
    """Refuses what goes on with tokens behind its last map; arguments as above."""
    for call in calls:
        shapes = [specs[value].shape for value in call.inputs]
        if has_kernel(call.operation) and any(len(s) == 3 and s[1] != 1 for s in shapes):
            raise ValueError(
                f"Behind {name!r}, its last map, the model {model_name!r} goes on with tokens "
                f"({call.path!r} takes {shapes[0]}), so no default map shows what it has seen. "
                "Put a keras.layers.Reshape((height, width, channels)) of the last tokens into "
                f"the model and name it, or explain layer={name!r} as it is."
            )
