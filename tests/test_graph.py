"""Layers are found in graphs of many shapes, and the model is cut where Grad-CAM can use it."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import classify, small

from utils.gradcam import grad_cam
from utils.graph import cut_at, find_node, graph_nodes, last_spatial_layer
from utils.resnet import resnet_v2


def v1_block(inputs):
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    y = layers.Conv2D(4, 3, padding="same", name="last_conv")(x)
    return classify(layers.ReLU(name="wanted")(x + y))  # an Add that is no layer


def plain(inputs):
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.MaxPooling2D(name="wanted")(x)
    return layers.Dense(4)(layers.Flatten()(x))


def kept_dimensions(inputs):
    """MobileNet's way: pooled to 1x1, then a 1x1 convolution as the classifier."""
    x = layers.ReLU(name="wanted")(layers.Conv2D(4, 3)(inputs))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Flatten()(layers.Conv2D(4, 1)(x))


def squeeze_and_excite(inputs):
    x = layers.Conv2D(4, 3)(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    return classify(layers.Multiply(name="wanted")([x, gate]))


@pytest.mark.parametrize("build", [v1_block, plain, kept_dimensions, squeeze_and_excite])
def test_last_spatial_layer_of_other_models(build):
    model = small(build)
    assert last_spatial_layer(model) == "wanted"
    maps = grad_cam(model, np.random.default_rng(0).random((2, 16, 16, 3), "float32"), 1)
    assert maps.shape == (2, 16, 16)


def test_sequential_and_nested_backbone():
    backbone = small(lambda x: layers.ReLU()(layers.Conv2D(4, 3)(x)))
    backbone.name = "backbone"
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(4)]
    )
    assert last_spatial_layer(model) == "backbone"  # its output is the backbone's last activation
    assert grad_cam(model, np.ones((1, 16, 16, 3))).shape == (1, 16, 16)
    with pytest.raises(ValueError, match="nested model 'backbone'.*nested.input"):
        find_node(model, graph_nodes(model), "conv2d")


def test_shared_layers_are_refused():
    relu = layers.ReLU(name="shared")

    def build(inputs):
        x = relu(layers.Conv2D(4, 3, padding="same", name="a")(inputs))
        return classify(relu(layers.Conv2D(4, 3, padding="same", name="b")(x) + x))

    model = small(build)
    nodes = graph_nodes(model)
    for name in ("shared", "b"):
        with pytest.raises(ValueError, match="layer of its own"):
            cut_at(nodes, find_node(model, nodes, name))


@pytest.mark.parametrize(
    "name, message",
    [
        ("last_rel", r"no layer 'last_rel'.*'last_relu'.*default is 'last_relu'"),
        ("avg_pool", r"'avg_pool' gives float32 \(None, 256\).*'last_relu'"),
        ("pixels", r"'pixels' gives uint8"),
    ],
)
def test_bad_layer(name, message):
    model = resnet_v2(11)
    with pytest.raises(ValueError, match=message):
        find_node(model, graph_nodes(model), name)


def test_model_without_a_graph_or_spatial_layer():
    class Opaque(keras.Model):
        pass

    with pytest.raises(ValueError, match="functional or built sequential"):
        graph_nodes(Opaque())
    with pytest.raises(ValueError, match="no layer with a spatial output"):
        last_spatial_layer(small(lambda x: layers.Dense(4)(layers.Flatten()(x))))
