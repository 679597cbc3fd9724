"""Models of other people: backbones, nested and shared parts, and what cannot be explained."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from small_models import classify, numpy, small

from utils.explain import grad_cam as gradcam
from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import default_layer, grad_cam
from utils.explain.graph import Graph
from utils.explain.image_checks import images_for_model

RAW = {"size": None, "normalize": False, "signed": True}


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).random((2, 16, 16, 3), "float32")


def taped(model, images, layer, target):
    """Signed Grad-CAM by a plain gradient tape over the whole model, without compiling."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a gradient tape is TensorFlow's")
    import tensorflow as tf

    tensor = next(one.output for one in model.operations if one.name == layer)
    both = keras.Model(model.input, [tensor, model.output])
    with tf.GradientTape() as tape:
        activations, logits = both(images, training=False)
        score = tf.reduce_sum(logits[:, target])
    alpha = tape.gradient(score, activations).numpy().mean(axis=(1, 2))
    return np.einsum("nhwk,nk->nhw", activations.numpy(), alpha)


def test_default_layers_of_backbones_equal_a_gradient_tape():
    """Ten more families: `python -m benchmarks.backbones`."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), alpha=0.35, weights=None, classes=5, classifier_activation=None
    )
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    assert default_layer(model) == "out_relu"
    expected = taped(model, images, "out_relu", 3)
    maps = grad_cam(model, images, 3, **RAW)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def padded(inputs):
    x = layers.ReLU(name="wanted")(layers.Conv2D(4, 3)(inputs))
    x = layers.Dropout(0.5)(layers.ZeroPadding2D(name="padding")(x))
    return classify(layers.AveragePooling2D(16)(layers.Dropout(0.2)(x)))


def branches(inputs):
    x = layers.ReLU(name="wanted")(layers.Conv2D(4, 3, padding="same")(inputs))
    each = [layers.Conv2D(3, size, padding="same")(x) for size in (1, 3)]
    return layers.Dense(4)(layers.Concatenate()([layers.Flatten()(one) for one in each]))


def ends_in_one_position(inputs):
    x = layers.Conv2D(4, 3, strides=4, name="wanted")(inputs)
    x = layers.ReLU()(layers.Conv2D(4, 4, name="one_position")(x))
    return layers.Dense(4)(layers.Flatten()(x))


@pytest.mark.parametrize("build", [padded, branches, ends_in_one_position])
def test_default_is_the_last_map_that_every_path_passes(build):
    assert default_layer(small(build)) == "wanted"


def test_one_position_can_be_named(pixels):
    maps = grad_cam(small(ends_in_one_position), pixels, 1, "one_position")
    assert maps.shape == (2, 16, 16)


def tokens(inputs):
    """A small Vision Transformer: patches, attention between them, their mean."""
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4, name="patches")(inputs))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    x = layers.LayerNormalization(name="last_tokens")(x)
    return layers.Dense(4, name="scores")(layers.GlobalAveragePooling1D()(x))


def test_tokens_have_no_default_and_the_remedy_works(pixels):
    keras.utils.set_random_seed(1)
    model = small(tokens)
    with pytest.raises(ValueError, match="goes on with tokens.*Reshape"):
        grad_cam(model, pixels)
    assert grad_cam(model, pixels, layer="patches").shape == (2, 16, 16)

    def reshaped(inputs):
        x = keras.Model(model.input, model.get_layer("last_tokens").output)(inputs)
        x = layers.Reshape((4, 4, 8), name="map")(x)
        return model.get_layer("scores")(layers.GlobalAveragePooling2D()(x))

    maps = grad_cam(small(reshaped), pixels, 2, "map", **RAW)
    values = numpy(keras.Model(model.input, model.get_layer("last_tokens").output)(pixels))
    expected = values.reshape(2, 4, 4, 8) @ numpy(model.get_layer("scores").kernel)[:, 2] / 16
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_without_a_learned_map_there_is_no_default(pixels):
    model = small(lambda x: layers.Dense(4)(layers.Flatten()(layers.Rescaling(2.0)(x))))
    with pytest.raises(ValueError, match="no layer with a map"):
        default_layer(model)


# Nested models -------------------------------------------------------------------------------


def backbone_and_head(inputs):
    inner = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inner)
    x = layers.Dense(5, name="dense")(x)
    backbone = keras.Model(inner, layers.ReLU(name="relu")(x), name="backbone")
    x = layers.Conv2D(6, 3, padding="same", name="conv")(backbone(inputs))
    return layers.Dense(4, name="dense")(layers.GlobalAveragePooling2D()(x))


def test_a_backbone_and_a_head_may_repeat_names(pixels):
    model = small(backbone_and_head)
    assert default_layer(model) == "conv"  # the model's own; that of the backbone has its path
    own, nested = (grad_cam(model, pixels, 1, name, **RAW) for name in ("conv", "backbone/conv"))
    assert np.abs(own - nested).max() > 1e-4
    np.testing.assert_array_equal(own, grad_cam(model, pixels, 1, model.get_layer("conv"), **RAW))
    inner = model.get_layer("backbone")
    for name in ("relu", "backbone", inner, inner.get_layer("relu")):
        one = grad_cam(model, pixels, 1, name, **RAW)
        np.testing.assert_array_equal(one, grad_cam(model, pixels, 1, "backbone/relu", **RAW))


def test_the_name_of_the_default_leads_to_the_layer(pixels):
    inner = small(lambda x: layers.ReLU(name="relu")(layers.Conv2D(4, 3)(x)))
    middle = keras.Sequential([keras.Input((16, 16, 3)), inner])
    model = small(lambda x: classify(middle(x)))
    found = model
    for name in default_layer(model).split("/"):
        found = found.get_layer(name)
    assert found is inner.get_layer("relu")
    plain = small(lambda x: classify(layers.Conv2D(4, 3)(x)))
    assert isinstance(plain.get_layer(default_layer(plain)), layers.Conv2D)


def test_names_that_are_repeated_in_two_nested_models_need_their_path(pixels):
    def build(inputs):
        x = inputs
        for name in ("a", "b"):
            inner = keras.Input(x.shape[1:])
            conv = layers.Conv2D(4, 3, name="conv")(inner)
            x = keras.Model(inner, layers.ReLU()(conv), name=name)(x)
        return classify(x)

    model = small(build)
    with pytest.raises(ValueError, match=r"any of \['a/conv', 'b/conv'\]"):
        grad_cam(model, pixels, layer="conv")
    assert grad_cam(model, pixels, 1, "a/conv", size=None).shape == (2, 14, 14)


def test_a_nested_model_casts_to_the_type_of_its_input():
    inner = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Conv2D(4, 3, name="conv")(layers.Rescaling(1 / 255)(inner))
    backbone = keras.Model(inner, x, name="backbone")
    model = small(lambda x: classify(backbone(x)))
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    logits = GradCAM(model)(images).logits
    np.testing.assert_allclose(logits, model.predict_on_batch(images), rtol=1e-4, atol=1e-5)


# Models without a graph ----------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(4, 3, name="conv")
        self.pool = layers.GlobalAveragePooling2D()
        self.scores = layers.Dense(4)

    def call(self, x):
        return self.scores(self.pool(self.conv(x)))


def test_a_subclassed_model_is_refused_and_the_remedy_works(pixels):
    model = Subclassed()
    expected = model.predict_on_batch(pixels)
    with pytest.raises(ValueError, match=r"has no graph.*keras.Model\(x, model.call\(x\)\)"):
        grad_cam(model, pixels)
    x = keras.Input((16, 16, 3))
    functional = keras.Model(x, model.call(x))
    assert default_layer(functional) == "conv"
    np.testing.assert_allclose(GradCAM(functional)(pixels).logits, expected, rtol=1e-4, atol=1e-6)


def test_a_model_that_computes_something_else_than_its_graph_is_refused(pixels):
    class Doubled(keras.Model):
        def call(self, x):
            return 2 * super().call(x)

    x = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match="has no graph"):
        grad_cam(Doubled(x, classify(layers.Conv2D(4, 3)(x))), pixels)


def test_a_nested_model_without_a_graph_is_one_step(pixels):
    class Opaque(keras.Model):
        def call(self, x):
            return x * 3

    model = small(lambda x: classify(Opaque(name="opaque")(layers.Conv2D(4, 3, name="conv")(x))))
    assert default_layer(model) == "opaque"
    expected = grad_cam(model, pixels, 1, "opaque", **RAW)  # three times conv, a third of its slope
    maps = grad_cam(model, pixels, 1, "conv", **RAW)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_an_unbuilt_sequential_is_refused_and_the_remedy_works(pixels):
    parts = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    model = keras.Sequential(parts)
    with pytest.raises(ValueError, match=r"model.build\(\(None, height, width, channels\)\)"):
        grad_cam(model, pixels)
    model.build((None, 16, 16, 3))
    assert grad_cam(model, pixels).shape == (2, 16, 16)


def test_several_outputs_are_refused_and_the_remedy_works(pixels):
    x = keras.Input((16, 16, 3))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    model = keras.Model(x, {"age": layers.Dense(1, name="age")(y), "kind": layers.Dense(3)(y)})
    with pytest.raises(
        ValueError, match=r"2: .*'age'.*keras.Model\(model.inputs\[0\], model.outputs"
    ):
        grad_cam(model, pixels)
    assert grad_cam(keras.Model(model.inputs[0], model.outputs[0]), pixels).shape == (2, 16, 16)


def test_several_inputs_are_refused_and_the_remedy_works_in_any_order(pixels):
    def build(order):
        image, number = keras.Input((16, 16, 3), name="image"), keras.Input((2,), name="age")
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(image))
        return keras.Model(order(image, number), layers.Dense(3)(layers.Concatenate()([x, number])))

    ages = np.array([[3.0, 4.0]] * 2)
    given = (
        lambda image, age: [image, age],
        lambda image, age: [age, image],
        lambda image, age: {"image": image, "age": age},  # Keras sorts them by name
    )
    for order in given:
        model = build(order)
        with pytest.raises(ValueError, match=r"models with one input.*has 2: ") as caught:
            grad_cam(model, order(pixels, ages))
        explanation = GradCAM(with_fixed(model, caught.value, ages[0]), "conv")(pixels)
        expected = numpy(model(order(pixels, ages)))
        np.testing.assert_allclose(explanation.logits, expected, rtol=1e-5)
        assert explanation.maps.shape == (2, 14, 14)


def with_fixed(model, error, value):
    """The model that the error about several inputs proposes."""
    lines = str(error).partition("to explain: ")[2].removesuffix(".")
    names = {"keras": keras, "model": model, "height": 16, "width": 16, "channels": 3}
    names["value"] = value
    exec(lines, names)
    return names["model"]


def test_several_inputs_are_refused_however_the_images_come(pixels):
    image, number = keras.Input((16, 16, 3), name="image"), keras.Input((2,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(image))
    model = keras.Model([image, number], layers.Dense(3)(layers.Concatenate()([x, number])))
    ages = np.array([[3.0, 4.0]] * 2)
    for images in (pixels, [pixels, ages], {"image": pixels, "age": ages}):
        with pytest.raises(ValueError, match=r"models with one input.*has 2: \['image', 'age'\]"):
            grad_cam(model, images)
        with pytest.raises(ValueError, match=r"models with one input"):
            GradCAM(model)(images)


def test_a_file_name_is_no_model(pixels):
    with pytest.raises(ValueError, match=r"must be a keras.Model.*got builtins.str"):
        grad_cam("model.keras", pixels)


def test_channels_first_is_refused_and_the_remedy_works(pixels):
    def build(shape, order):
        x = keras.Input(shape)
        y = layers.Conv2D(4, 3, data_format=order, name="conv")(x)
        y = layers.GlobalAveragePooling2D(data_format=order)(y)
        return keras.Model(x, layers.Dense(4)(y))

    old = build((3, 16, 16), "channels_first")
    with pytest.raises(ValueError, match="(?s)'conv' works with channels first.*a Flatten gives"):
        grad_cam(old, pixels.transpose(0, 3, 1, 2))
    model = build((16, 16, 3), "channels_last")
    model.set_weights(old.get_weights())
    assert grad_cam(model, pixels).shape == (2, 16, 16)


def test_channels_first_before_a_flatten_needs_what_the_error_says(pixels):
    """Convolutions with channels first do not run on every CPU: theirs are computed and turned."""

    def build(turned):
        x = keras.Input((16, 16, 3))
        y = layers.Conv2D(4, 3, name="conv")(x)
        y = layers.Permute((3, 1, 2))(y) if turned else y
        return keras.Model(x, layers.Dense(5, name="logits")(layers.Flatten()(y)))

    old, model = build(turned=True), build(turned=False)
    model.set_weights(old.get_weights())
    kernel, bias = old.get_layer("logits").get_weights()
    assert np.abs(numpy(model(pixels)) - numpy(old(pixels))).max() > 0.01  # as the error warns
    rows = kernel.reshape(4, 14, 14, 5).transpose(1, 2, 0, 3).reshape(-1, 5)
    model.get_layer("logits").set_weights([rows, bias])
    np.testing.assert_allclose(numpy(model(pixels)), numpy(old(pixels)), rtol=1e-4, atol=1e-5)


def test_the_format_of_the_model_counts_and_not_the_global_one(pixels):
    model = small(lambda x: classify(layers.Conv2D(4, 3)(x)))
    expected = GradCAM(model)(pixels, 1).maps
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(GradCAM(model)(pixels, 1).maps, expected)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_channels_first_within_a_layer_is_refused(pixels):
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.conv = layers.Conv2D(4, 3, data_format="channels_first")

        def build(self, shape):
            self.conv.build(shape)

        def compute_output_shape(self, shape):
            return self.conv.compute_output_shape(shape)

        def call(self, x):
            return self.conv(x)

    x = keras.Input((3, 16, 16))
    model = keras.Model(x, layers.Dense(4)(layers.Flatten()(Block()(x))))
    with pytest.raises(ValueError, match="'block' works with channels first"):
        grad_cam(model, pixels.transpose(0, 3, 1, 2))


def test_images_with_channels_first_are_refused_and_the_remedy_works(pixels):
    def build(inputs):
        return classify(layers.Conv2D(4, 3, name="conv")(layers.Permute((2, 3, 1))(inputs)))

    x = keras.Input((3, 16, 16))
    model = keras.Model(x, build(x))
    with pytest.raises(ValueError, match=r"images with channels first, \(None, 3, 16") as caught:
        grad_cam(model, pixels.transpose(0, 3, 1, 2))
    names = {"keras": keras, "model": model, "height": 16, "width": 16, "channels": 3}
    exec(str(caught.value).partition("before it: ")[2].removesuffix("."), names)
    explanation = GradCAM(names["model"])(pixels)
    expected = model.predict_on_batch(pixels.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(explanation.logits, expected, rtol=1e-4, atol=1e-6)
    assert grad_cam(names["model"], pixels).shape == (2, 16, 16)


def test_images_as_vectors_need_a_size(pixels):
    x = keras.Input((256,))
    y = layers.Conv2D(4, 3)(layers.Reshape((16, 16, 1))(x))
    model, vectors = keras.Model(x, classify(y)), pixels[..., 0].reshape(2, 256)
    with pytest.raises(ValueError, match=r"give size=\(height, width\)"):
        grad_cam(model, vectors)
    assert grad_cam(model, vectors, size=(16, 16)).shape == (2, 16, 16)


@pytest.mark.parametrize("scale", [1 / 255, [1 / 127.5] * 3])
def test_a_model_that_scales_pixels_wants_pixels(pixels, scale):
    model = small(lambda x: classify(layers.Conv2D(4, 3)(layers.Rescaling(scale)(x))))
    with pytest.raises(ValueError, match=r"takes pixels in 0..255, got values from 0\.\d+ to"):
        grad_cam(model, pixels)
    assert grad_cam(model, 255 * pixels).shape == (2, 16, 16)
    raw = small(lambda x: classify(layers.Conv2D(4, 3)(layers.Rescaling(1 / 65535)(x))))
    assert grad_cam(raw, 65535 * pixels).shape == (2, 16, 16)  # of 16 bits


def augmented(*parts):
    return keras.Sequential([keras.Input((16, 16, 3)), *parts])


BEFORE = {
    "at once": lambda x: x,
    "augmentation": lambda x: layers.RandomRotation(0.1)(layers.RandomFlip()(x)),
    "augmentation, nested": lambda x: augmented(layers.RandomFlip(), layers.RandomContrast(0.1))(x),
    "smaller": lambda x: layers.CenterCrop(8, 8)(layers.Resizing(12, 12)(x)),
}


@pytest.mark.parametrize("before", BEFORE)
def test_pixels_are_known_behind_augmentation_and_may_be_resized(pixels, before):
    model = small(
        lambda x: classify(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(BEFORE[before](x))))
    )
    shape, dtype, takes_pixels = Graph(model).input
    assert takes_pixels
    with pytest.raises(ValueError, match=r"takes pixels in 0..255, got .* itself\.$"):
        images_for_model(pixels, shape, dtype, takes_pixels)
    white = np.full((1, 16, 16, 3), 255, "float32")
    for rounded in (white - 5e-5, white + 2e-5, white - 255 - 1e-6):
        np.testing.assert_array_equal(images_for_model(rounded, shape, dtype, True), rounded)
    edges = white * (np.arange(16) < 8)[:, None]
    resized = keras.ops.image.resize(edges, (12, 12), interpolation="bicubic")
    resized = numpy(keras.ops.image.resize(resized, (16, 16), interpolation="lanczos3"))
    assert resized.min() < -1 and resized.max() > 256
    with pytest.raises(ValueError, match="After resizing pass") as caught:
        images_for_model(resized, shape, dtype, takes_pixels)
    remedy = str(caught.value).partition("After resizing pass ")[2].removesuffix(".")
    clipped = eval(remedy, {"np": np, "images": resized})
    assert images_for_model(clipped, shape, dtype, takes_pixels).max() == 255


@pytest.mark.parametrize(
    "change", [lambda x: x / 127.5 - 1, lambda x: (x - 125) / 60, lambda x: x - 117]
)
def test_normalized_images_are_not_to_be_clipped(change):
    images = change(np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)))
    with pytest.raises(ValueError, match="takes pixels in 0..255") as caught:
        images_for_model(images, (None, 16, 16, 3), "float32", True)
    assert "clip" not in str(caught.value)


@pytest.mark.parametrize("before", [layers.BatchNormalization, lambda: layers.Conv2D(3, 1)])
def test_a_rescaling_behind_other_layers_says_nothing_of_the_images(before):
    assert not Graph(small(lambda x: classify(layers.Rescaling(1 / 255)(before()(x))))).input[2]


# Graphs with forks ---------------------------------------------------------------------------


def test_a_nested_model_that_is_called_by_names(pixels):
    """The tensors of a dictionary come in the order of their names, not of the inputs."""
    b, a = keras.Input((16, 16, 3), name="b"), keras.Input((16, 16, 3), name="a")
    inner = keras.Model([b, a], layers.Conv2D(4, 3)(b) - 3.0 * layers.Conv2D(4, 3)(a), name="inner")
    model = small(lambda x: classify(inner({"a": x, "b": 2.0 * x})))
    explanation = GradCAM(model)(pixels, 1, signed=True)
    np.testing.assert_allclose(explanation.logits, model.predict_on_batch(pixels), rtol=1e-4)
    kernel = numpy(model.get_layer("scores").kernel)[:, 1] / 196
    expected = numpy(inner({"a": pixels, "b": 2.0 * pixels})) @ kernel
    np.testing.assert_allclose(explanation.maps, expected, rtol=1e-4, atol=1e-6)


def pyramid(*used):
    """A backbone of two maps, of which the model uses those that are named."""
    inner = keras.Input((16, 16, 3))
    fine = layers.Conv2D(4, 3, name="fine")(inner)
    coarse = layers.MaxPooling2D(name="coarse")(layers.Conv2D(4, 3)(fine))
    side = layers.Conv2D(4, 3, name="side")(fine)  # made after the coarse map, and used by nobody
    backbone = keras.Model(inner, {"coarse": coarse, "fine": fine, "side": side}, name="backbone")

    def build(x):
        outputs = backbone(x)
        pooled = [layers.GlobalAveragePooling2D()(outputs[name]) for name in used]
        return layers.Dense(4)(layers.Concatenate()([*pooled, pooled[0]]))

    return small(build)


def test_a_backbone_of_several_maps(pixels):
    model = pyramid("coarse")
    assert default_layer(model) == "backbone/coarse"
    expected = grad_cam(model, pixels, 1, "backbone/coarse", **RAW)
    np.testing.assert_array_equal(grad_cam(model, pixels, 1, "backbone", **RAW), expected)
    with pytest.raises(ValueError, match="do not depend on layer 'side'.*'backbone/coarse'"):
        grad_cam(model, pixels, layer="side")
    model = pyramid("coarse", "fine")
    assert default_layer(model) == "backbone/fine"
    with pytest.raises(ValueError, match=r"any of \['backbone#1', 'backbone#2'\]"):
        grad_cam(model, pixels, layer="backbone")


@pytest.mark.parametrize("both", [True, False])
def test_an_operation_of_several_values(pixels, both):
    inputs = keras.Input((16, 16, 3))
    conv = layers.Conv2D(8, 3, name="conv")(inputs)
    halves = keras.ops.split(conv, 2, axis=-1)
    model = keras.Model(inputs, classify(halves[0] * halves[1] if both else halves[1]))
    split = next(one.name for one in model.operations if one.name.startswith("split"))
    kernel = numpy(model.get_layer("scores").kernel)[:, 1] / 196
    first, second = (numpy(one) for one in keras.Model(inputs, halves)(pixels))
    if not both:
        assert default_layer(model) == split
        maps = grad_cam(model, pixels, 1, **RAW)
        np.testing.assert_allclose(maps, second @ kernel, rtol=1e-4, atol=1e-6)
        return
    with pytest.raises(ValueError, match=f"any of .'{split}#1', '{split}#2'"):
        grad_cam(model, pixels, layer=split)
    maps = grad_cam(model, pixels, 1, f"{split}#2", **RAW)
    alpha = first.mean(axis=(1, 2)) * kernel
    np.testing.assert_allclose(maps, np.einsum("nhwk,nk->nhw", second, alpha), rtol=1e-4, atol=1e-6)


STOPS = {
    "operation": keras.ops.stop_gradient,
    "lambda": layers.Lambda(lambda x: keras.ops.stop_gradient(x)),
    "whole numbers": lambda x: keras.ops.round(100 * x),
}


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX gives zeros")
@pytest.mark.parametrize("stop", STOPS)
def test_a_stopped_gradient_is_no_empty_map(pixels, stop):
    def build(x):
        x = STOPS[stop](layers.Conv2D(4, 3, activation="relu", name="conv")(x))
        return classify(layers.ReLU(name="behind")(x))

    model = small(build)
    if stop == "whole numbers" and keras.backend.backend() == "torch":
        pytest.skip("PyTorch gives zeros")
    with pytest.raises(ValueError, match="No gradient comes back"):
        grad_cam(model, pixels, 1, "conv")
    assert grad_cam(model, pixels, 1).max() >= 0  # the default lies behind it
    for method in ("score-cam", "eigen-cam"):
        assert np.abs(grad_cam(model, pixels, 1, "conv", method=method, signed=True)).max() > 0


def test_a_quantized_model_equals_a_gradient_tape(pixels):
    model = small(lambda x: classify(layers.Conv2D(4, 3, name="conv")(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that cannot be quantized
        model.quantize("int8")
    expected = taped(model, pixels, "conv", 1)
    np.testing.assert_allclose(grad_cam(model, pixels, 1, "conv", **RAW), expected, atol=1e-6)


@pytest.mark.parametrize("operation", [False, True])
def test_what_the_docstring_of_default_layer_says(pixels, operation):
    """A layer is found by `get_layer`, an operation among the operations."""

    def build(x):
        x = layers.Conv2D(4, 3, name="conv")(x)
        return classify(x + layers.Conv2D(4, 1)(x) if operation else layers.ReLU()(x))

    model = small(build)
    name = default_layer(model)
    found = next(one for one in model.operations if one.name == name)
    if operation:
        with pytest.raises(ValueError, match="No such layer"):
            model.get_layer(name)
    else:
        assert model.get_layer(name) is found
    kernel = numpy(model.get_layer("scores").kernel)[:, 1] / 196
    maps = numpy(keras.Model(model.input, found.output)(pixels)) @ kernel
    np.testing.assert_allclose(grad_cam(model, pixels, 1, name, **RAW), maps, rtol=1e-4, atol=1e-6)


# What a later change or a training must not meet ---------------------------------------------


def test_a_layer_that_is_given_as_such_is_compiled_once(pixels):
    model = small(lambda x: classify(layers.Conv2D(4, 3, name="conv")(x)))
    grad_cam(model, pixels, 1, model.get_layer("conv"))
    assert len(gradcam._EXPLAINERS[model]) == 1
    (kept,) = gradcam._EXPLAINERS[model].values()
    grad_cam(model, pixels, 2, model.get_layer("conv"))
    assert next(iter(gradcam._EXPLAINERS[model].values())) is kept


def test_a_longer_sequential_is_compiled_again(pixels):
    parts = [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *parts])
    before = grad_cam(model, pixels, 1, **RAW)
    model.pop()
    model.add(layers.Dense(4, kernel_initializer="ones"))
    assert np.abs(grad_cam(model, pixels, 1, **RAW) - before).max() > 1e-4


def test_nothing_is_left_in_the_layers(pixels):
    """A regularizer of activations adds its loss at every call; training comes after explaining."""
    model = small(lambda x: classify(layers.Conv2D(4, 3, activity_regularizer="l2")(x)))
    grad_cam(model, pixels)
    assert model.losses == []
    model.compile("sgd", "mse")
    model.train_on_batch(pixels, np.ones((2, 4)))
    assert grad_cam(model, pixels).shape == (2, 16, 16)


def test_dropout_and_noise_are_off_even_where_the_graph_says_training(pixels):
    def build(x, rate=0.5):
        x = layers.Dropout(rate)(layers.Conv2D(4, 3)(x), training=True)
        return classify(layers.GaussianNoise(rate)(x, training=True))

    model, still = small(build), small(lambda x: build(x, rate=0.0))
    still.set_weights(model.get_weights())
    # Not against a second call of its own, which would draw the same numbers once more.
    np.testing.assert_array_equal(grad_cam(model, pixels, 1), grad_cam(still, pixels, 1))


def test_a_fixed_batch_size_of_the_model_is_kept(pixels):
    x = keras.Input(batch_shape=(3, 16, 16, 3))
    model = keras.Model(x, classify(layers.Conv2D(4, 3)(x)))
    seven = np.random.default_rng(0).random((7, 16, 16, 3), "float32")
    for method in ("grad-cam", "score-cam"):
        assert grad_cam(model, seven, method=method).shape == (7, 16, 16)


def test_any_image_size_for_a_model_that_takes_any():
    x = keras.Input((None, None, 3))
    model = keras.Model(x, classify(layers.Conv2D(4, 3, padding="same", name="conv")(x)))
    assert default_layer(model) == "conv"
    for height, width in ((16, 24), (9, 5)):
        images = np.ones((1, height, width, 3))
        assert grad_cam(model, images).shape == (1, height, width)
