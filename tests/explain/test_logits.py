"""Probabilities are recognized in every dress, and the logits before them are explained."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import classify, numpy, randomize, small

from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import grad_cam
from utils.explain.graph import Graph
from utils.explain.identities import cam_identity_gap, completeness_gap
from utils.explain.logits import find_logits

RAW = {"size": None, "normalize": False, "signed": True}


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).random((4, 16, 16, 3), "float32")


def features(x):
    return layers.ReLU(name="map")(layers.Conv2D(6, 3, name="conv")(x))


def pooled(x):
    return layers.GlobalAveragePooling2D(name="pool")(features(x))


def dense(units, activation=None, **options):
    return layers.Dense(units, activation=activation, name="scores", **options)


class ScaledSoftmax(layers.Layer):
    """A layer of a user: its weights lie in the same layer as its softmax."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 4), initializer="glorot_uniform")

    def call(self, x):
        return ops.softmax(x @ self.matrix)


def nested_softmax(x):
    inner = keras.Input((4,))
    head = keras.Model(inner, layers.Softmax(name="deep")(inner), name="probabilities")
    return head(dense(4)(pooled(x)))


def one_by_one(x):
    """MobileNet's way: the class scores are a map of 1x1 positions."""
    x = layers.GlobalAveragePooling2D(keepdims=True)(features(x))
    return layers.Reshape((4,))(layers.Conv2D(4, 1, name="scores", activation="softmax")(x))


DRESSES = {
    "dense softmax": lambda x: dense(4, "softmax")(pooled(x)),
    "layer as activation": lambda x: dense(4, layers.Softmax())(pooled(x)),
    "function as activation": lambda x: dense(4, lambda z: ops.softmax(z))(pooled(x)),
    "Softmax layer": lambda x: layers.Softmax()(dense(4)(pooled(x))),
    "Activation layer": lambda x: layers.Activation("softmax")(dense(4)(pooled(x))),
    "ops.softmax": lambda x: ops.softmax(dense(4)(pooled(x))),
    "lambda": lambda x: layers.Lambda(lambda z: ops.softmax(z))(dense(4)(pooled(x))),
    "nested": nested_softmax,
    "softmax, cast": lambda x: ops.cast(dense(4, "softmax")(pooled(x)), "float32"),
    "softmax, reshape": lambda x: layers.Reshape((4,))(dense(4, "softmax")(pooled(x))),
    "softmax, identity": lambda x: layers.Lambda(lambda z: z)(dense(4, "softmax")(pooled(x))),
    "softmax, dropout": lambda x: layers.Dropout(0.5)(dense(4, "softmax")(pooled(x))),
    "log-softmax": lambda x: dense(4, "log_softmax")(pooled(x)),
    "1x1": one_by_one,
    "by hand": lambda x: by_hand(dense(4)(pooled(x))),
    "by hand, stable": lambda x: by_hand(minus_largest(dense(4)(pooled(x)))),
    "softmax, stable": lambda x: ops.softmax(minus_largest(dense(4)(pooled(x)))),
    "softmax, clipped": lambda x: ops.clip(dense(4, "softmax")(pooled(x)), 1e-7, 1.0),
    "softmax, log": lambda x: ops.log(dense(4, "softmax")(pooled(x))),
    "softmax, clipped, log": lambda x: ops.log(ops.clip(dense(4, "softmax")(pooled(x)), 1e-7, 1.0)),
    "logits of two axes": lambda x: layers.Softmax()(layers.Reshape((4,))(two_axes(x))),
}


def by_hand(z):
    return ops.exp(z) / ops.sum(ops.exp(z), axis=-1, keepdims=True)


def minus_largest(z):
    return z - ops.max(z, axis=-1, keepdims=True)


def two_axes(x):
    """The same numbers as those of a Dense layer of four units, (batch, 2, 2)."""
    return layers.EinsumDense("bc,cij->bij", (2, 2), bias_axes="ij", name="scores")(pooled(x))


def logit_maps(model, pixels, target):
    """By hand: the weight of a channel is its dense weight over the number of positions."""
    scores, _ = model.get_layer("scores").get_weights()
    maps = numpy(keras.Model(model.input, model.get_layer("map").output)(pixels))
    return maps @ scores.reshape(6, -1)[:, target] / maps[0, ..., 0].size


@pytest.mark.parametrize("name", DRESSES)
def test_the_logit_is_explained_whatever_follows_it(pixels, name):
    model = randomize(small(DRESSES[name]))
    before = model.predict_on_batch(pixels)
    config = model.get_layer("scores").get_config() if name != "function as activation" else None
    explanation = GradCAM(model, "map")(pixels, 2, signed=True)
    np.testing.assert_allclose(explanation.maps, logit_maps(model, pixels, 2), rtol=1e-4, atol=1e-6)
    exponents = np.exp(explanation.logits)
    found = exponents / exponents.sum(axis=1, keepdims=True)
    expected = np.exp(before) if "log" in name.replace("logits", "") else before
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # The model is what it was, in the next prediction and when it is saved.
    np.testing.assert_array_equal(model.predict_on_batch(pixels), before)
    if config:
        assert model.get_layer("scores").get_config() == config


def test_weights_of_the_moment_are_read_before_the_activation(pixels):
    model = randomize(small(DRESSES["dense softmax"]))
    before = grad_cam(model, pixels, 1, **RAW)
    kernel = model.get_layer("scores").kernel
    kernel.assign(3 * numpy(kernel))
    after = grad_cam(model, pixels, 1, **RAW)
    np.testing.assert_allclose(after, 3 * before, rtol=1e-4, atol=1e-6)


def test_a_frozen_head_and_mixed_precision(pixels):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small(DRESSES["dense softmax"])
    finally:
        keras.config.set_dtype_policy("float32")
    randomize(model).trainable = False
    maps, expected = grad_cam(model, pixels, 2, **RAW), logit_maps(model, pixels, 2)
    np.testing.assert_allclose(maps, expected, rtol=0.05, atol=0.03 * np.abs(expected).max())


def two_heads(x, activation="softmax"):
    x = pooled(x)
    heads = [layers.Dense(4, activation, name=name)(x) for name in ("dense", "dense_1")]
    return layers.Average()(heads)


@pytest.mark.parametrize(
    "build, message",
    [
        (two_heads, "of 'dense' and 'dense_1', from which no way leads back"),
        (lambda x: two_heads(x, "sigmoid"), "Mix the logits of the heads instead"),
        (lambda x: ScaledSoftmax(name="own")(pooled(x)), "'own' gives numbers from 0 to 1"),
        (
            lambda x: layers.Lambda(lambda z: ops.softmax(z / 9), name="cool")(dense(4)(pooled(x))),
            "'cool' gives numbers from 0 to 1",
        ),
    ],
)
def test_probabilities_without_a_way_back_are_refused(pixels, build, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(randomize(small(build)), pixels)


def shares(x):
    return x / ops.sum(x, axis=-1, keepdims=True)


def cool(z):
    return ops.softmax(z / 9)


def follow(model, error):
    """The model that the error proposes."""
    return eval(re.search(r"keras\.Model\(.*\)", str(error))[0], {"keras": keras, "model": model})


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Lambda(cool, name="cool")(dense(4)(pooled(x))),
        lambda x: 1 - dense(4, "softmax")(pooled(x)),
        lambda x: 1 - ops.softmax(dense(4)(pooled(x))),  # of an operation that is no layer
        lambda x: 2 * dense(4, "softmax")(pooled(x)) - 1,
        lambda x: 100 * dense(4, "softmax")(pooled(x)),
        lambda x: ops.square(dense(4, "softmax")(pooled(x))),
        lambda x: ops.normalize(ops.square(dense(4)(pooled(x))), axis=-1, order=1),
        lambda x: shares(ops.relu(dense(4)(pooled(x))) + 1e-3),
        lambda x: shares(dense(4, "softmax")(pooled(x)) * np.arange(1.0, 5)),  # other priors
        lambda x: (ops.tanh(dense(4)(pooled(x))) + 1) / 2,
        lambda x: dense(4, "softmax")(pooled(x))[:, 1:],
        lambda x: ops.softmax(dense(4)(pooled(x)))[:, 1:],
    ],
)
def test_the_proposed_model_is_explained_by_its_logits(pixels, build):
    model = randomize(small(build))
    with pytest.raises(ValueError, match="probabilities") as caught:
        grad_cam(model, pixels)
    maps = grad_cam(follow(model, caught.value), pixels, 2, **RAW)
    np.testing.assert_allclose(maps, logit_maps(model, pixels, 2), rtol=1e-4, atol=1e-6)


def test_one_of_two_mixed_heads_is_explained_as_proposed(pixels):
    for activation in ("softmax", "sigmoid"):
        model = randomize(small(lambda x, last=activation: two_heads(x, last)))
        with pytest.raises(ValueError, match="Mix the logits") as caught:
            grad_cam(model, pixels)
        logits = GradCAM(follow(model, caught.value))(pixels).logits
        expected = numpy(keras.Model(model.input, model.get_layer("dense").output)(pixels))
        found = numpy(getattr(ops, activation)(logits))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_weights_and_softmax_in_one_layer_and_the_remedy(pixels):
    model = randomize(small(lambda x: ScaledSoftmax(name="own")(pooled(x))))
    with pytest.raises(ValueError, match="'own' gives.*write a layer `logits`") as caught:
        grad_cam(model, pixels)
    before = model.predict_on_batch(pixels)
    lines = str(caught.value).partition("in its place: ")[2].removesuffix(".")
    names = {"keras": keras, "model": model, "logits": layers.Dense(4, use_bias=False)}
    exec(lines, names)
    found = numpy(ops.softmax(GradCAM(names["model"])(pixels).logits))
    np.testing.assert_allclose(found, before, rtol=1e-4)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("nested", [False, True])
def test_an_activation_of_the_users_own_and_the_remedy(pixels, nested, use_bias):
    def soft(z):
        return ops.softmax(ops.sqrt(ops.abs(z)))  # no softmax of the logits

    last = layers.Dense(4, soft, use_bias=use_bias, name="scores")
    inner = keras.Input((6,))
    head = keras.Model(inner, last(inner), name="head") if nested else last
    model = randomize(small(lambda x: head(pooled(x))))
    with pytest.raises(ValueError, match="ends in logits: layer = ") as caught:
        grad_cam(model, pixels)
    names = {"keras": keras, "model": model}
    lines, _, place = str(caught.value).partition("in logits: ")[2].partition(" in the place of")
    if nested:
        lines += place.partition("'head'")[2]
    exec(lines.removesuffix("."), names)
    instead = names["model"]
    if nested:
        instead = keras.Model(model.input, instead(model.get_layer("pool").output))
    found = numpy(soft(GradCAM(instead)(pixels).logits))
    np.testing.assert_allclose(found, model.predict_on_batch(pixels), rtol=1e-4)


@pytest.mark.parametrize(
    "classes, activation, pool",
    [(4, "softmax", layers.GlobalAveragePooling2D), (1, "sigmoid", layers.GlobalMaxPooling2D)],
)
def test_a_map_of_probabilities_that_is_pooled_and_the_remedy(pixels, classes, activation, pool):
    def build(x):
        return pool(name="pool")(layers.Conv2D(classes, 1, activation=activation, name="scores")(x))

    model = randomize(small(lambda x: build(features(x))))
    with pytest.raises(ValueError, match="calls after 'scores' give") as caught:
        grad_cam(model, pixels)
    names = {"keras": keras, "model": model}
    exec(str(caught.value).partition("in logits: ")[2].removesuffix("."), names)
    assert grad_cam(names["model"], pixels).shape == (4, 16, 16)
    scores = keras.Model(names["model"].input, names["model"].get_layer("scores").output)(pixels)
    maps = keras.Model(model.input, model.get_layer("scores").output)(pixels)
    found = numpy(getattr(ops, activation)(scores))
    np.testing.assert_allclose(found, numpy(maps), rtol=1e-4, atol=1e-6)


def test_a_nested_head_and_the_remedy(pixels):
    """The proposed part takes the place of the nested model."""
    inner = keras.Input((6,))
    head = keras.Model(inner, 1 - layers.Softmax(name="deep")(dense(4)(inner)), name="head")
    model = randomize(small(lambda x: head(pooled(x))))
    with pytest.raises(ValueError, match="'head/deep'.*in the place of.*'head'") as caught:
        grad_cam(model, pixels)
    part = follow(model, caught.value)
    instead = keras.Model(model.input, part(model.get_layer("pool").output))
    scores, _ = head.get_layer("scores").get_weights()
    maps = numpy(keras.Model(model.input, model.get_layer("map").output)(pixels))
    expected = maps @ scores[:, 2] / maps[0, ..., 0].size
    found = grad_cam(instead, pixels, 2, **RAW)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def gated(x):
    x = pooled(x)
    return layers.Dense(4)(x) * layers.Dense(4, "softmax")(x)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: dense(4)(pooled(x)),
        lambda x: two_heads(x, None),
        lambda x: dense(4)(pooled(x)) / 2.0,
        lambda x: layers.BatchNormalization()(dense(4)(pooled(x))),
        lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(features(x))),
        lambda x: dense(4, "tanh")(pooled(x)),
        gated,
    ],
)
def test_logits_are_taken_for_logits(pixels, build):
    keras.utils.set_random_seed(3)
    model = small(build)
    explanation = GradCAM(model)(pixels)
    np.testing.assert_allclose(explanation.logits, model.predict_on_batch(pixels), atol=1e-5)


def test_small_logits_of_a_linear_layer_are_no_probabilities(pixels):
    model = randomize(small(lambda x: dense(1)(pooled(x))))
    model.get_layer("scores").set_weights([np.full((6, 1), 1e-3), np.array([0.5])])
    assert grad_cam(model, pixels).shape == (4, 16, 16)


# One column is two classes --------------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "sigmoid", "hard_sigmoid"])
def test_one_column_is_two_classes(pixels, activation):
    model = randomize(small(lambda x: dense(1, activation)(pooled(x))))
    kernel, _ = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel, np.zeros(1)])
    one = logit_maps(model, pixels, 0)
    np.testing.assert_allclose(grad_cam(model, pixels, 1, **RAW), one, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, pixels, 0, **RAW), -one, rtol=1e-4, atol=1e-6)
    for bias in (-9.0, 9.0):  # None explains the side that is predicted
        model.get_layer("scores").set_weights([kernel, np.array([bias])])
        explanation = GradCAM(model)(pixels, signed=True)
        assert explanation.logits.shape == (4, 1)
        np.testing.assert_array_equal(explanation.targets, int(bias > 0))
        np.testing.assert_allclose(explanation.maps, np.sign(bias) * one, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"from 0 to 1, got \[2\]"):
        grad_cam(model, pixels, 2)
    assert cam_identity_gap(model, pixels, 0) < 1e-5 and completeness_gap(model, pixels, 0) < 1e-5
    maps = grad_cam(model, pixels, [0, 1, 0, 1], method="score-cam")
    assert maps.shape == (4, 16, 16) and np.isfinite(maps).all()


def two_sides(p, first):
    return ops.concatenate([p, 1 - p] if first else [1 - p, p], axis=-1)


def logit(x):
    return dense(1)(pooled(x))


def sigmoid(x):
    return dense(1, "sigmoid")(pooled(x))


TWO_SIDES = {  # which class the one logit speaks for, and how the output is built
    "1 - layer": (0, lambda x: 1 - sigmoid(x)),
    "1 - operation": (0, lambda x: 1 - ops.sigmoid(logit(x))),
    "second of two": (1, lambda x: two_sides(sigmoid(x), first=False)),
    "first of two": (0, lambda x: two_sides(sigmoid(x), first=True)),
    "first of two, operation": (0, lambda x: two_sides(ops.sigmoid(logit(x)), first=True)),
    "softmax with zero": (1, lambda x: zero_and(logit(x))),
    "by hand": (1, lambda x: 1 / (1 + ops.exp(-logit(x)))),
    "log-sigmoid": (1, lambda x: ops.log_sigmoid(logit(x))),
    "clipped": (1, lambda x: ops.clip(sigmoid(x), 1e-7, 1 - 1e-7)),
}


def zero_and(z):
    return ops.softmax(ops.concatenate([0 * z, z], axis=-1))


@pytest.mark.parametrize("name", TWO_SIDES)
def test_both_sides_of_a_sigmoid(pixels, name):
    speaks_for, build = TWO_SIDES[name]
    model = randomize(small(build))
    explain, positive = GradCAM(model), logit_maps(model, pixels, 0)
    for target in (0, 1):
        maps = explain(pixels, target, signed=True).maps
        expected = positive if target == speaks_for else -positive
        np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    last = model.predict_on_batch(pixels)[:, -1]  # of class 1
    predicted = last > (np.log(0.5) if name == "log-sigmoid" else 0.5)
    np.testing.assert_array_equal(explain(pixels).targets, predicted)


def test_score_cam_of_the_two_sides_of_a_sigmoid_are_opposite(pixels):
    model = randomize(small(lambda x: dense(1, "sigmoid")(pooled(x))))
    yes, no = (grad_cam(model, pixels, one, method="score-cam", **RAW) for one in (1, 0))
    np.testing.assert_allclose(yes, -no, rtol=1e-3, atol=1e-5)
    assert np.abs(yes).max() > 0


def test_independent_labels_keep_their_sigmoid():
    assert find_logits(Graph(small(lambda x: dense(4, "sigmoid")(pooled(x))))).link == "sigmoid"
    assert find_logits(Graph(small(lambda x: dense(4, "softmax")(pooled(x))))).link == "softmax"
    assert find_logits(Graph(small(lambda x: dense(1)(pooled(x))))).link == "sigmoid"


@pytest.mark.parametrize(
    "build, remedy",
    [
        (
            lambda x: layers.Conv2D(4, 1, name="scores")(features(x)),
            lambda model: layers.GlobalAveragePooling2D()(model.output),
        ),
        (
            lambda x: ops.squeeze(dense(1)(pooled(x)), axis=-1),
            lambda model: layers.Reshape((1,))(model.output),
        ),
    ],
)
def test_an_output_of_another_shape_and_its_remedy(pixels, build, remedy):
    model = small(build)
    with pytest.raises(ValueError, match=r"end in logits \(batch, classes\), got shape"):
        grad_cam(model, pixels)
    assert grad_cam(keras.Model(model.input, remedy(model)), pixels).shape == (4, 16, 16)


def test_classify_is_explained_by_its_logits(pixels):
    """The head of the other tests of this folder, with its activation given by name."""
    model = small(lambda x: classify(layers.Conv2D(4, 3)(x), activation="softmax"))
    bare = small(lambda x: classify(layers.Conv2D(4, 3)(x)))
    bare.set_weights(model.get_weights())
    np.testing.assert_allclose(grad_cam(model, pixels), grad_cam(bare, pixels), atol=1e-5)


def mixture_of_experts(x):
    """Two softmax heads and a softmax that weighs them: nothing but the values tells."""
    x = pooled(x)
    gate, *heads = (layers.Dense(n, "softmax", name=f"of{i}")(x) for i, n in enumerate((2, 4, 4)))
    return gate[:, :1] * heads[0] + gate[:, 1:] * heads[1]


@pytest.mark.parametrize("method", ["grad-cam", "score-cam"])
def test_probabilities_that_only_their_values_give_away_are_refused(pixels, method):
    model = randomize(small(mixture_of_experts))
    with pytest.raises(ValueError, match="gives probabilities .*rows sum to 1") as caught:
        grad_cam(model, pixels, method=method)
    assert grad_cam(follow(model, caught.value), pixels, method=method).shape == (4, 16, 16)
