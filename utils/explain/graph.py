"""The calls of a model in one list: finds a layer by name, and the one to explain by default."""

import difflib
from typing import NamedTuple

import numpy as np
from keras import layers

from utils.explain.keras_graph import Cast, has_kernel, needed, read_calls
from utils.explain.model_checks import (
    check_channels_last,
    check_hidden,
    check_input,
    check_model,
    check_tokens,
    refuse_without_map,
)

# What such a layer gives shows nothing that its input does not show.
UNCHANGED = (
    layers.ZeroPadding2D,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.Identity,
)

# What such a layer gives, as one of Keras's random augmentation, is pixels if it takes pixels.
STILL_PIXELS = (*UNCHANGED, Cast, layers.Resizing, layers.CenterCrop)


class Input(NamedTuple):
    """What a model takes."""

    shape: tuple  # (batch, height, width, channels), None where it is not fixed
    dtype: str
    takes_pixels: bool  # whether it divides by 255 or the like before all but augmentation


class Graph:
    """What a model computes, as a list of calls with nested models opened.

    It shares layers and weights with the model, and changes nothing in it.

    A layer's name is its path: `"conv"` for a layer of the model itself, `"backbone/conv"` for one
    of its nested model `backbone`. A layer that is called several times has a name for each call,
    in the order of the calls: `"relu#1"`, `"relu#2"`; one that gives several values, for each value
    that the output of the model needs.

    Args:
        model: functional or built sequential `keras.Model`, one input and one output.

    Attributes:
        calls: list of `utils.explain.keras_graph.Call`, each after those whose values it takes.
        output: int, the number of the value that the model gives; its input is value 0.
        input: `Input`, what the model takes.
        specs: dict from the number of a value to its `keras.KerasTensor` (shape, dtype).
        names: dict from name to (number of the value, operation), for every call.
        needed: list of the `Call` that lead to the output.

    Raises:
        ValueError: when the model has no graph, several inputs or outputs, or channels first.
    """

    def __init__(self, model):
        check_model(model)
        self.model_name = model.name
        self.calls, (self.output,), ends = read_calls(model)
        self.specs = {0: model.inputs[0]}
        for call in self.calls:
            self.specs.update(zip(call.outputs, call.specs))
        self.needed = needed(self.calls, self.output)
        self.names = _names(self.calls, ends, self.needed, self.output)
        check_input(model, self.calls)
        image = model.inputs[0]
        self.input = Input(image.shape, image.dtype, _takes_pixels(self.calls))
        check_channels_last(self.names)

    def find(self, layer):
        """The number of the value that a layer gives.

        Args:
            layer: name (see the class), as much of its end as is unique (`"conv"` for
                `"backbone/conv"`), or the layer itself.

        Raises:
            ValueError: when there is no such layer, several of that name, or its output is not a
                float (batch, height, width, channels).
        """
        found = self._matches(layer)
        name = layer if isinstance(layer, str) else getattr(layer, "name", layer)
        if not found:
            close = difflib.get_close_matches(str(name), self.names) or "none"
            raise ValueError(
                f"Model {self.model_name!r} has no layer {name!r}. Close matches: {close}"
                f"{self.advice()}."
            )
        if len(found) > 1:
            raise ValueError(f"{name!r} may be any of {found[:9]}: give one of these names.")
        value = self.names[found[0]][0]
        if not self.is_spatial(value, one_position=True):
            spec = self.specs[value]
            raise ValueError(
                f"Layer {name!r} gives {spec.dtype} {spec.shape}; Grad-CAM needs a "
                f"floating-point output (batch, height, width, channels){self.advice()}."
            )
        return value

    def _matches(self, layer):
        """The names that mean a layer: the very name; else those that end in it; else all calls
        of a layer that is called several times, as backbone/relu#2 of relu."""
        if not isinstance(layer, str):
            return [name for name, (_, operation) in self.names.items() if operation is layer]
        exact = [name for name in self.names if layer in (name, name.partition("#")[0])]
        ends = [name for name in self.names if f"/{name}".endswith(f"/{layer}")]
        return exact or ends or [name for name in self.names if f"/{layer}#" in f"/{name}#"]

    def advice(self):
        try:
            return f"; the default is {self.default_layer()!r}"
        except ValueError:
            return ""

    def is_spatial(self, value, one_position=False):
        """Whether a value is a float (batch, height, width, channels) of more than 1x1 pixels."""
        spec = self.specs[value]
        several = one_position or tuple(spec.shape[1:3]) != (1, 1)
        return value > 0 and len(spec.shape) == 4 and several and "float" in spec.dtype

    def default_layer(self):
        """Names the last layer with a map that every path from input to output passes.

        Not a layer of a branch, no padding, no map of 1x1 positions, and nothing before the first
        layer with a kernel.

        Raises:
            ValueError: where no map is worth explaining.
        """
        chosen, used_last = None, {self.output: len(self.needed)}
        for position, call in enumerate(self.needed):
            used_last |= {one: max(position, used_last.get(one, 0)) for one in call.inputs}
        alive, learned, maps = {0}, False, False
        for position, call in enumerate(self.needed):
            alive = {one for one in (*alive, *call.outputs) if used_last.get(one, 0) > position}
            learned = learned or has_kernel(call.operation)
            maps = maps or (learned and any(self.is_spatial(one, True) for one in call.outputs))
            # Every path passes a value if nothing else that was computed before is used after it.
            passed = len(alive) == 1 and alive <= set(call.outputs)
            if passed and learned and self.is_spatial(*alive):
                if not isinstance(call.operation, (*UNCHANGED, Cast)) and not _pads(call):
                    chosen, (value,) = position, alive
        name = None if chosen is None else self.name_of(value)
        behind = self.needed if chosen is None else self.needed[chosen + 1 :]
        check_hidden(behind, self.specs, name)
        if name is None:
            refuse_without_map(self.model_name, self.specs[0].shape, maps)
        check_tokens(behind, self.specs, name, self.model_name)
        return name

    def name_of(self, value):
        """The name of the layer that gives a value."""
        return next(name for name, (given, _) in self.names.items() if given == value)


def _takes_pixels(calls):
    """Whether a model divides images by 255, 127.5 or the like, be it behind their augmentation."""
    pixels = {0}
    for call in calls:
        operation = call.operation
        if pixels.isdisjoint(call.inputs):
            continue
        if isinstance(operation, layers.Rescaling):
            if 0.002 < np.max(np.abs(operation.scale)) < 0.02:
                return True
        elif isinstance(operation, STILL_PIXELS) or type(operation).__name__.startswith("Rand"):
            pixels.update(call.outputs)
    return False


def _names(calls, ends, needed_calls, output):
    """(value, operation) of every call and of every nested model, by name."""
    found = {}
    given = [(c.path, c.outputs, c.operation) for c in calls if not isinstance(c.operation, Cast)]
    # A nested model's name means what it gives.
    given += [(path, *one) for path, each in ends.items() for one in each]
    for path, values, operation in given:
        if len(values) > 1:  # those that the output of the model needs, outside of a nested model
            outside = [call for call in needed_calls if not call.path.startswith(f"{path}/")]
            used = {output}.union(*(call.inputs for call in outside))
            values = [value for value in values if value in used] or values[:1]
        found.setdefault(path, []).extend((value, operation) for value in values)
    names = {}
    for path, each in found.items():
        for number, one in enumerate(each, start=1):
            names[path if len(each) == 1 else f"{path}#{number}"] = one
    return names


def _pads(call):
    return type(call.operation).__name__ == "Pad"  # keras.ops.pad
