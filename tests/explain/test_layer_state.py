"""A model whose layers are changed after a first call is explained as it is now."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_models import classify, numpy, randomize, small

from utils.explain import layer_state
from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import grad_cam
from utils.explain.graph import Graph
from utils.explain.score_cam import ScoreCAM

RAW = {"size": None, "normalize": False, "signed": True}


class Own(layers.Layer):
    """A layer of a user, with what is in no configuration."""

    def __init__(self):
        super().__init__(name="own")
        self.factor, self.table, self._shifts = 1.0, np.zeros(6, "float32"), {"all": [0.0]}
        self.part = layers.LeakyReLU(0.1)

    def call(self, x):
        return self.part(ops.add(self.factor * x, self.table)) + self._shifts["all"][0]


class Opaque(keras.Model):
    def __init__(self):
        super().__init__(name="opaque")
        self.slope = 0.1

    def call(self, x):
        return ops.leaky_relu(x, self.slope)


def noisy(x):
    """Conv, then one of everything that can be changed, then a head that is not linear in it."""
    x = layers.Normalization(name="normalize")(x)
    x = layers.Conv2D(6, 3, name="map")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    x = Opaque()(Own()(x))
    x = ops.leaky_relu(layers.Conv2D(6, 3, activation="elu", name="conv")(x), 0.2)
    return classify(layers.UpSampling2D(name="up", interpolation="nearest")(x))


def changeable():
    model = randomize(small(noisy))
    model.get_layer("normalize").adapt(np.random.default_rng(1).random((9, 16, 16, 3)))
    return model


def operation(model):
    return next(one for one in model.operations if one.name.startswith("leaky_relu"))


def add_lora(layer):
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))


CHANGES = {
    "negative_slope": lambda m: setattr(m.get_layer("leaky"), "negative_slope", 0.9),
    "activation": lambda m: setattr(m.get_layer("conv"), "activation", ops.tanh),
    "activation of the head": lambda m: setattr(m.get_layer("scores"), "activation", ops.tanh),
    "epsilon": lambda m: setattr(m.get_layer("norm"), "epsilon", 2.0),
    "attribute in no configuration": lambda m: setattr(m.get_layer("own"), "factor", 1.5),
    "array in place": lambda m: m.get_layer("own").table.__setitem__(slice(None), 0.2),
    "list in a dictionary": lambda m: m.get_layer("own")._shifts["all"].__setitem__(0, -0.5),
    "layer within a layer": lambda m: setattr(m.get_layer("own").part, "negative_slope", 0.9),
    "model without a graph": lambda m: setattr(m.get_layer("opaque"), "slope", 0.9),
    "operation": lambda m: setattr(operation(m), "negative_slope", 0.9),
    "interpolation": lambda m: setattr(m.get_layer("up"), "interpolation", "bicubic"),
    "adapted": lambda m: m.get_layer("normalize").adapt(np.full((2, 16, 16, 3), [1.0, 2, 3])),
    "lora": lambda m: add_lora(m.get_layer("map")),
}


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).random((2, 16, 16, 3), "float32")


def test_the_map_of_now_comes_after_each_change(pixels):
    """Maps and logits come from one compiled function: where it is an old one, both are old."""
    model = changeable()
    kept = GradCAM(model, "map")
    old = kept(pixels, 1).logits
    before = grad_cam(model, pixels, 1, "map", **RAW)
    for name, change in CHANGES.items():
        assert not kept._state.has_changed(), name
        change(model)
        now = kept(pixels, 1, signed=True)
        np.testing.assert_allclose(
            now.logits, numpy(model(pixels)), rtol=1e-3, atol=1e-3, err_msg=name
        )
        assert np.abs(now.logits - old).max() > 1e-4, name
        old = now.logits
    after = grad_cam(model, pixels, 1, "map", **RAW)
    np.testing.assert_allclose(after, now.maps, rtol=1e-5)
    np.testing.assert_array_equal(after, GradCAM(model, "map")(pixels, 1, signed=True).maps)
    assert np.abs(after - before).max() > 1e-4


def test_score_cam_of_a_changed_layer(pixels):
    model = changeable()
    explain = ScoreCAM(model, "map")
    before = explain(pixels, 1, signed=True).maps
    model.get_layer("own").factor = 3.0
    after = explain(pixels, 1, signed=True).maps
    np.testing.assert_array_equal(after, ScoreCAM(model, "map")(pixels, 1, signed=True).maps)
    assert np.abs(after - before).max() > 1e-4


def test_a_change_that_cannot_be_explained_is_refused_each_time(pixels):
    model = changeable()
    explain = GradCAM(model, "map")
    model.get_layer("scores").activation = lambda z: ops.softmax(z / 9)
    for _ in range(2):
        with pytest.raises(ValueError, match="gives numbers from 0 to 1"):
            explain(pixels)


def test_training_compiles_nothing_anew(pixels):
    model = changeable()
    state = layer_state.LayerState(Graph(model).calls)
    model.compile("adam", "mse")
    model.fit(pixels, np.ones((2, 4)), verbose=0)
    model.predict(pixels, verbose=0)
    model.get_layer("conv").kernel.assign(np.zeros((3, 3, 6, 6)))
    keras.Model(model.input, layers.ReLU()(model.get_layer("map").output))
    assert not state.has_changed()
    model.get_layer("map").trainable = False
    assert state.has_changed()


def test_what_a_layer_notes_down_while_it_is_compiled_is_no_change(pixels):
    class Noting(layers.Layer):
        def call(self, x):
            self.last = x
            return x

    model = small(lambda x: classify(Noting(name="noting")(layers.Conv2D(4, 3)(x))))
    explain = GradCAM(model, "noting")
    explain(pixels)
    assert not explain._state.has_changed()
