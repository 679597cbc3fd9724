"""What a layer hides, and models without maps, are refused; heads and backbones are not."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import numpy, small

from utils.explain.grad_cam import default_layer, grad_cam
from utils.explain.graph import Graph


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).random((2, 16, 16, 3), "float32")


class Parts(layers.Layer):
    """A layer of a user that calls others inside."""

    def __init__(self, *parts, **options):
        super().__init__(**options)
        self.parts = parts

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


class PartsModel(keras.Model):
    def __init__(self, *parts, **options):
        super().__init__(**options)
        self.parts = parts

    call = Parts.call


def encoder(kind, last=layers.GlobalAveragePooling2D):
    return kind(layers.Conv2D(6, 3, activation="relu", name="conv"), last(), name="encoder")


def stem():
    return layers.Conv2D(3, 1, name="to_rgb")


def pooled_to_one_position():
    return layers.GlobalAveragePooling2D(keepdims=True)


HIDING = {
    "model": lambda: [stem(), encoder(PartsModel), layers.Dense(4)],
    "layer": lambda: [stem(), encoder(Parts), layers.Dense(4)],
    "without a stem": lambda: [encoder(Parts), layers.Dense(4)],
    "one position": lambda: [
        stem(),
        encoder(Parts, pooled_to_one_position),
        layers.Flatten(),
        layers.Dense(4),
    ],
    "tokens": lambda: [
        stem(),
        Parts(layers.Conv2D(6, 4, strides=4, name="conv"), layers.Reshape((16, 6)), name="encoder"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(4),
    ],
}


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("name", HIDING)
def test_a_layer_that_hides_its_maps_is_refused_and_the_remedy_works(pixels, name, functional):
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((16, 16, 3)), *HIDING[name]()])
    if functional:
        model = keras.Model(model.inputs, model.outputs[0])
    with pytest.raises(ValueError, match="'encoder' has convolutions inside") as caught:
        grad_cam(model, pixels)
    assert ("layer='to_rgb'" in str(caught.value)) == (name != "without a stem")
    names = {"keras": keras, "model": model}
    exec(re.search(r"Open it: (.*?)\.( Or|$)", str(caught.value))[1], names)
    assert default_layer(names["model"]) == "encoder/conv"
    np.testing.assert_allclose(numpy(names["model"](pixels)), numpy(model(pixels)), rtol=1e-5)
    if name != "without a stem":  # as the error says, too
        Graph(model).find("to_rgb")


def test_a_part_that_hides_its_maps_is_named_in_its_nested_model(pixels):
    inner = keras.Sequential([keras.Input((16, 16, 3)), encoder(Parts)], name="inner")
    model = keras.Sequential([keras.Input((16, 16, 3)), stem(), inner, layers.Dense(4)])
    with pytest.raises(ValueError, match="in the place of the nested model 'inner'") as caught:
        default_layer(model)
    names = {"keras": keras, "model": model}
    exec(re.search(r"Open it: (.*) in the place", str(caught.value))[1], names)
    instead = keras.Sequential([keras.Input((16, 16, 3)), names["model"], model.layers[-1]])
    assert default_layer(instead) == "inner/encoder/conv"


class PositionWeights(layers.Layer):
    """A head that has learned a weight for each position, and one that weighs them by a 1x1."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(*shape[1:], 4))
        self.gate = layers.Conv2D(1, 1, activation="sigmoid")
        self.gate.build(shape)

    def call(self, x):
        return ops.einsum("bhwc,hwck->bk", x * self.gate(x), self.weight)


HEADS = {
    "positions": lambda x: PositionWeights()(x),
    "einsum": lambda x: layers.EinsumDense("bhwc,hwck->bk", (4,))(x),
    "kernel of the map's size": lambda x: layers.Flatten()(layers.Conv2D(4, 14)(x)),
    "one position": lambda x: layers.Flatten()(layers.Conv2D(4, 9, strides=9)(x)),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_hides_nothing(name):
    model = small(lambda x: HEADS[name](layers.Conv2D(5, 3, name="conv")(x)))
    assert default_layer(model) == "conv"


def test_layers_of_users_that_give_maps_and_nested_backbones_are_taken():
    def branches(x):
        x = layers.Conv2D(5, 3, name="conv")(x)
        block = Parts(layers.Conv2D(5, 3), layers.ReLU(), name="block")
        return layers.Concatenate()([layers.GlobalAveragePooling2D()(one) for one in (x, block(x))])

    assert default_layer(small(branches)) == "conv"
    for pooling in (None, "avg"):
        backbone = keras.applications.MobileNetV2(
            input_shape=(64, 64, 3), alpha=0.35, weights=None, include_top=False, pooling=pooling
        )
        x = keras.Input((64, 64, 3))
        y = backbone(x) if pooling else layers.GlobalAveragePooling2D()(backbone(x))
        model = keras.Model(x, layers.Dense(4)(y))
        assert default_layer(model) == f"{backbone.name}/out_relu"


class TFSMLayer(Parts):
    """Called as the layer of Keras that runs a saved graph of TensorFlow."""


class Pair(Parts):
    """Sees two images."""

    def call(self, images):
        return super().call(images[0] - images[1])


@pytest.mark.parametrize("kind", [TFSMLayer, Pair])
def test_a_layer_that_cannot_be_opened_is_to_be_replaced(kind):
    x = keras.Input((16, 16, 3))
    y = layers.Conv2D(3, 1, name="to_rgb")(x)
    hidden = encoder(kind)
    model = keras.Model(x, hidden(y) if kind is TFSMLayer else hidden([y, layers.ReLU()(y)]))
    message = "'encoder' has.*Put a functional model of Keras layers in its place. Or explain"
    with pytest.raises(ValueError, match=message):
        default_layer(model)


WITHOUT_MAPS = {
    "numbers": ((20,), lambda: [layers.Dense(4)]),
    "steps": ((20, 5), lambda: [layers.LSTM(4)]),
    "sound": ((20, 5), lambda: [layers.Conv1D(4, 3), layers.GlobalAveragePooling1D()]),
    "volumes": ((8, 8, 8, 1), lambda: [layers.Conv3D(4, 3), layers.GlobalAveragePooling3D()]),
    "films": (
        (5, 8, 8, 3),
        lambda: [
            layers.TimeDistributed(layers.Conv2D(4, 3)),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(4),
        ],
    ),
    "images": ((8, 8, 3), lambda: [layers.Rescaling(2.0), layers.Flatten(), layers.Dense(4)]),
}


@pytest.mark.parametrize("name", WITHOUT_MAPS)
def test_a_model_without_maps_is_told_what_it_takes(name):
    shape, parts = WITHOUT_MAPS[name]
    model = keras.Sequential([keras.Input(shape), *parts()])
    taken = re.escape(str((None, *shape)))
    with pytest.raises(ValueError, match=f"takes {taken} and has no layer with a map") as caught:
        default_layer(model)
    assert "Larger images" not in str(caught.value) and "does not suit" in str(caught.value)


def test_maps_of_one_position_need_larger_images_or_a_name(pixels):
    """Both remedies of the error."""

    def build(x):
        return layers.Flatten()(layers.Conv2D(4, 16, strides=16, name="conv")(x))

    model = small(build)
    with pytest.raises(ValueError, match="Larger images have larger maps; else name a layer"):
        default_layer(model)
    Graph(model).find("conv")
    larger = keras.Input((32, 32, 3))
    assert default_layer(keras.Model(larger, build(larger))) == "conv"
