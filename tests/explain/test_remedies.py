"""What the errors propose is pasted as it stands, for every way to build one and the same model."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import numpy, randomize

from utils.explain.grad_cam import grad_cam
from utils.explain.graph import Graph
from utils.explain.logits import find_logits


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).random((3, 16, 16, 3), "float32")


def functional(parts):
    x = image = keras.Input((16, 16, 3))
    for part in parts:
        x = part(x)
    return keras.Model(image, x)


def sequential(parts):
    return keras.Sequential([keras.Input((16, 16, 3)), *parts])


def called(parts):
    """From now on its `input` and `output` are those of the call."""
    model = sequential(parts)
    model(keras.Input((16, 16, 3)))
    return model


def built_later(parts):
    model = keras.Sequential(parts)
    model.build((None, 16, 16, 3))
    return model


def nested(parts):
    return keras.Sequential([keras.Input((16, 16, 3)), sequential(parts)])


BUILDS = [functional, sequential, called, built_later, nested]


def follow(model, error):
    """The model that an error proposes; the part that it proposes, in its place."""
    lines = re.search(r"(layer = |keras\.Model).*", str(error))[0].removesuffix(".")
    lines = re.sub(r" in the place of the nested model '[^']*'", "", lines)
    names = {"keras": keras, "model": model, "logits": layers.Dense(4, use_bias=False)}
    exec(lines if "model = " in lines else f"model = {lines}", names)
    return keras.Sequential([keras.Input((16, 16, 3)), names["model"]])


class OwnSoftmax(layers.Layer):
    """A layer of a user: its weights lie in the same layer as its softmax."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 4), initializer="glorot_uniform")

    def call(self, x):
        return ops.softmax(x @ self.matrix)


def logits_of(model, pixels):
    """What a model gives, if that is what Grad-CAM explains."""
    find_logits(Graph(model))  # raises otherwise
    return numpy(model(pixels))


def cool(z):
    return ops.softmax(z / 9)


def features():
    return [layers.Conv2D(6, 3), layers.ReLU()]


HEADS = {  # the layers, and what makes the output of the logits
    "softmax of a temperature": (
        lambda: [layers.GlobalAveragePooling2D(), layers.Dense(4), layers.Lambda(cool)],
        cool,
    ),
    "softmax and weights": (
        lambda: [layers.GlobalAveragePooling2D(), OwnSoftmax()],
        ops.softmax,
    ),
    "own activation": (
        lambda: [layers.GlobalAveragePooling2D(), layers.Dense(4, cool)],
        cool,
    ),
}


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("head", HEADS)
def test_probabilities_without_a_way_back_and_the_remedy(pixels, build, head):
    parts, link = HEADS[head]
    model = randomize(build([*features(), *parts()]))
    with pytest.raises(ValueError, match="ends in logits: ") as caught:
        grad_cam(model, pixels)
    logits = logits_of(follow(model, caught.value), pixels)
    np.testing.assert_allclose(numpy(link(logits)), numpy(model(pixels)), rtol=1e-4)


@pytest.mark.parametrize("build", BUILDS)
def test_a_map_of_probabilities_and_the_remedy(pixels, build):
    scores = layers.Conv2D(4, 1, activation="softmax", name="scores")
    first = features()
    model = randomize(build([*first, scores, layers.GlobalAveragePooling2D(name="pool")]))
    with pytest.raises(ValueError, match="calls after '.*scores' give") as caught:
        grad_cam(model, pixels)
    logits = logits_of(follow(model, caught.value), pixels)
    kernel, bias = scores.get_weights()
    expected = numpy(first[1](first[0](pixels))).mean(axis=(1, 2)) @ kernel[0, 0] + bias
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    "last, remedy",
    [
        (lambda: layers.Conv2D(4, 1), r"Model\(model.inputs\[0\], (.*)\) for a map of logits"),
        (lambda: layers.Lambda(lambda x: ops.mean(x, axis=(1, 2, 3))), r"logits, (.*) for a sing"),
    ],
)
def test_an_output_of_another_shape_and_the_remedy(pixels, build, last, remedy):
    model = build([*features(), last()])
    with pytest.raises(ValueError, match=r"end in logits \(batch, classes\), got") as caught:
        grad_cam(model, pixels)
    output = eval(re.search(remedy, str(caught.value))[1], {"keras": keras, "model": model})
    logits_of(keras.Model(model.inputs[0], output), pixels)
