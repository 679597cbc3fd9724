"""Layers are found in graphs of many shapes, and the model is cut where Grad-CAM can use it."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import classify, small

from utils.explain.grad_cam import default_layer, grad_cam
from utils.explain.graph import cut_at, find_node, flatten, graph_nodes, last_spatial_layer
from utils.model.resnet import resnet_v2


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


def nested_model():
    """Outer model -> sequential -> functional with a residual branch."""
    keras.utils.set_random_seed(4)

    def residual(inputs):
        x = layers.Conv2D(5, 3, padding="same", name="inner_conv")(inputs)
        return layers.ReLU(name="inner_relu")(layers.Add()([x, layers.Conv2D(5, 1)(inputs)]))

    backbone = small(residual)
    inputs = keras.Input((16, 16, 3))
    stack = keras.Sequential([keras.Input((16, 16, 3)), backbone, layers.Conv2D(6, 3, name="top")])
    return keras.Model(inputs, classify(stack(inputs)))


def test_flat_model_computes_the_same_with_the_same_weights():
    model = nested_model()
    flat = flatten(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    x = np.random.default_rng(0).random((3, 16, 16, 3), "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), flat.predict(x, verbose=0))
    assert {id(w) for w in flat.weights} == {id(w) for w in model.weights}
    assert flatten(flat) is flat


def test_layers_of_nested_models_are_explained_like_any_other():
    model = nested_model()
    assert default_layer(model) == "top"
    x = np.random.default_rng(0).random((3, 16, 16, 3), "float32")
    maps = grad_cam(model, x, 1, "inner_relu", size=None, normalize=False)
    # By hand: the head after inner_relu is a convolution without padding, a mean and a Dense.
    flat = flatten(model)
    node = find_node(flat, graph_nodes(flat), "inner_relu")
    inner = keras.ops.convert_to_numpy(keras.Model(flat.inputs[0], node.outputs[0])(x))
    kernel = keras.ops.convert_to_numpy(flat.get_layer("top").kernel)
    dense = keras.ops.convert_to_numpy(flat.get_layer("scores").kernel)[:, 1]
    # Summed over all positions, each of the 14 x 14 outputs passes on kernel and weight once.
    alpha = np.einsum("abkc,c->k", kernel, dense) / 16**2
    expected = np.maximum(inner @ alpha, 0)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_nested_model_without_a_graph_is_named():
    class Opaque(keras.Model):
        def call(self, x):
            return x

    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, classify(Opaque(name="opaque")(inputs)))
    with pytest.raises(ValueError, match="nested model 'opaque' has no graph"):
        flatten(model)
