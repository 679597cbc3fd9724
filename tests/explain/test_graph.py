"""Layers are found in graphs of many shapes, and the model is cut where Grad-CAM can use it."""

import keras
import numpy as np
import pytest
from keras import layers
from small_models import classify, numpy, small

from utils.explain.grad_cam import default_layer, grad_cam
from utils.explain.graph import Graph
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
    assert default_layer(model) == "wanted"
    maps = grad_cam(model, np.random.default_rng(0).random((2, 16, 16, 3), "float32"), 1)
    assert maps.shape == (2, 16, 16)


def test_sequential_and_nested_backbone():
    backbone = small(lambda x: layers.ReLU(name="relu")(layers.Conv2D(4, 3)(x)))
    backbone.name = "backbone"
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(4)]
    )
    assert default_layer(model) == "backbone/relu"
    assert Graph(model).find("backbone") == Graph(model).find("backbone/relu")
    assert grad_cam(model, np.ones((1, 16, 16, 3))).shape == (1, 16, 16)


def test_each_call_of_a_shared_layer_has_a_name():
    relu = layers.ReLU(name="shared")

    def build(inputs):
        x = relu(layers.Conv2D(4, 3, padding="same", name="a")(inputs))
        return classify(relu(layers.Conv2D(4, 3, padding="same", name="b")(x) + x))

    model = small(build)
    assert default_layer(model) == "shared#2"
    x = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    raw = {"size": None, "normalize": False, "signed": True}
    outputs = {name: model.get_layer(name).output for name in "ab"}
    first = relu(outputs["a"])
    second = relu(outputs["b"] + first)
    kernel = numpy(model.get_layer("scores").kernel)[:, 1]
    maps = numpy(keras.Model(model.input, second)(x)) @ kernel / 256
    np.testing.assert_allclose(grad_cam(model, x, 1, **raw), maps, rtol=1e-4, atol=1e-6)
    assert np.abs(grad_cam(model, x, 1, "shared#1", **raw) - maps).max() > 1e-4
    with pytest.raises(ValueError, match=r"any of \['shared#1', 'shared#2'\]"):
        grad_cam(model, x, 1, "shared")


@pytest.mark.parametrize(
    "name, message",
    [
        ("last_rel", r"no layer 'last_rel'.*'last_relu'.*default is 'last_relu'"),
        ("avg_pool", r"'avg_pool' gives float32 \(None, 256\).*'last_relu'"),
        ("relu", "no layer 'relu'"),
        (-3, "no layer -3"),
    ],
)
def test_bad_layer(name, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(resnet_v2(11), np.zeros((1, 32, 32, 3), "uint8"), layer=name)


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


def test_layers_of_nested_models_are_explained_like_any_other():
    model = nested_model()
    assert default_layer(model) == f"{model.layers[1].name}/top"
    x = np.random.default_rng(0).random((3, 16, 16, 3), "float32")
    maps = grad_cam(model, x, 1, "inner_relu", size=None, normalize=False)
    # By hand: the head after inner_relu is a convolution without padding, a mean and a Dense.
    stack = model.layers[1]
    inner = numpy(stack.layers[0](x))
    kernel = numpy(stack.get_layer("top").kernel)
    dense = numpy(model.get_layer("scores").kernel)[:, 1]
    # Summed over all positions, each of the 14 x 14 outputs passes on kernel and weight once.
    alpha = np.einsum("abkc,c->k", kernel, dense) / 16**2
    expected = np.maximum(inner @ alpha, 0)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())
