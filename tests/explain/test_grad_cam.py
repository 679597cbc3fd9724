"""Grad-CAM against closed forms: activations and Dense weights decide, not a second autograd."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers
from small_models import MEAN, STD, close, numpy, randomize, values_at

from utils.explain import grad_cam as gradcam
from utils.explain.explainer import GradCAM
from utils.explain.grad_cam import default_layer, grad_cam
from utils.model.resnet import resnet_v2


@pytest.fixture(scope="module")
def model():
    return randomize(resnet_v2(11, mean=MEAN, std=STD))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


def cam(model, images, targets):
    """ReLU of the class-activation map (Zhou et al. 2016), over the number of positions."""
    activations, _ = values_at(model, images, "last_relu", "logits")
    kernel = numpy(model.get_layer("logits").kernel)
    maps = np.einsum("nhwk,kn->nhw", activations, kernel[:, targets])
    return np.maximum(maps, 0) / (maps.shape[1] * maps.shape[2])


def test_is_cam_over_z_for_every_kind_of_target(model, images):
    _, logits = values_at(model, images, "last_relu", "logits")
    predicted = logits.argmax(1)
    assert len(set(predicted)) > 1  # else "per image" would not be tested
    raw = {"size": None, "normalize": False}
    close(grad_cam(model, images, **raw), cam(model, images, predicted))
    close(grad_cam(model, images, 3, **raw), cam(model, images, np.full(7, 3)))
    mixed = [0, 9, 2, 3, 4, 5, 6]
    close(grad_cam(model, images, mixed, **raw), cam(model, images, mixed))


def test_layer_inside_a_residual_branch(model, images):
    """The shortcut passes around this layer; the gradient is worked out by hand."""
    activations, before_relu, _ = values_at(
        model, images, "stage3_block1_3_relu", "last_bn", "logits"
    )
    bn = model.get_layer("last_bn")
    slope = numpy(bn.gamma) / np.sqrt(numpy(bn.moving_variance) + bn.epsilon)
    dense = numpy(model.get_layer("logits").kernel)[:, 4]
    conv = numpy(model.get_layer("stage3_block1_3_conv").kernel)[0, 0]
    gradient = (before_relu > 0) * slope * dense / 64 @ conv.T
    alpha = gradient.mean(axis=(1, 2))
    expected = np.maximum(np.einsum("nhwk,nk->nhw", activations, alpha), 0)
    maps = grad_cam(model, images, 4, "stage3_block1_3_relu", size=None, normalize=False)
    assert expected.max() > 0
    close(maps, expected)


def test_any_layer_by_name_has_its_resolution(model, images):
    shapes = {"normalize": 32, "stage2_block1_add": 16}
    for name, side in shapes.items():
        maps = grad_cam(model, images[:1], 0, name, size=None)
        assert maps.shape == (1, side, side) and maps.dtype == np.float32, name


def test_shift_of_all_logits_changes_nothing(model, images):
    before = grad_cam(model, images, 2, normalize=False)
    bias = model.get_layer("logits").bias
    old = numpy(bias)
    bias.assign(old + 1000)
    after = grad_cam(model, images, 2, normalize=False)
    bias.assign(old)
    close(after, before)


def test_reads_the_weights_of_the_moment(images):
    model = randomize(resnet_v2(11))
    before = grad_cam(model, images, 1, size=None, normalize=False)
    kernel = model.get_layer("logits").kernel
    kernel.assign(2 * numpy(kernel))
    close(grad_cam(model, images, 1, size=None, normalize=False), 2 * before)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 256])
def test_batch_equals_singles(model, images, batch_size):
    singles = np.concatenate([grad_cam(model, image[None]) for image in images])
    batch = grad_cam(model, images, batch_size=batch_size)
    np.testing.assert_allclose(batch, singles, atol=1e-4)


def test_compiles_once_in_spite_of_a_partial_batch(model, images):
    calls = []

    class Spy(layers.Layer):
        def call(self, x):
            calls.append(x.shape)  # runs when the graph is traced, not when it is executed
            return x

    x = Spy(name="spy")(model.get_layer("last_relu").output)
    spied = keras.Model(model.input, model.get_layer("logits")(model.get_layer("avg_pool")(x)))
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch runs eagerly")
    grad_cam(spied, images, batch_size=4, layer="last_relu")
    traced = len(calls)
    grad_cam(spied, images, batch_size=4, layer="last_relu")
    grad_cam(spied, images[::-1], 3, batch_size=4, layer="last_relu", size=None)
    assert len(calls) == traced
    GradCAM(spied, "last_relu")(images, batch_size=4)
    assert len(calls) > traced  # the spy can see a compilation


def test_cache_does_not_keep_models_alive(images):
    model = resnet_v2(11)
    grad_cam(model, images[:1])
    alive, explainer = (
        weakref.ref(model),
        weakref.ref(next(iter(gradcam._EXPLAINERS[model].values()))[1]),
    )
    del model
    gc.collect()
    assert alive() is None and explainer() is None


def test_model_is_left_as_it_was(images, tmp_path):
    model = randomize(resnet_v2(11))
    before, config = [numpy(w) for w in model.weights], model.to_json()
    grad_cam(model, images, layer="stage3_block1_3_relu")
    assert model.to_json() == config
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))


def test_uint8_and_float_pixels_give_the_same_map(model, images):
    np.testing.assert_array_equal(
        grad_cam(model, images, 1), grad_cam(model, images.astype("float32"), 1)
    )


def test_normalization_is_that_of_training(model, images):
    """The same pixels through `predict` and through the explanation give the same logits."""
    explanation = GradCAM(model)(images)
    np.testing.assert_allclose(
        explanation.logits, model.predict(images, verbose=0), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(explanation.targets, explanation.logits.argmax(1))
    # The mean matters: with another one the same weights give another map.
    other = resnet_v2(11, mean=0.0, std=STD)
    other.set_weights(model.get_weights())
    assert np.abs(grad_cam(other, images, 1) - grad_cam(model, images, 1)).max() > 0.01


@pytest.mark.filterwarnings("error::RuntimeWarning")  # NumPy's division by zero
def test_zero_map_stays_zero_and_finite(images):
    model = resnet_v2(11)
    kernel = model.get_layer("logits").kernel
    kernel.assign(-np.abs(numpy(kernel)))
    maps = grad_cam(model, images, 0)
    assert np.isfinite(maps).all() and not maps.any()


def test_normalized_to_one_and_resized(model, images):
    maps = grad_cam(model, images)
    assert maps.shape == (7, 32, 32) and maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1, rtol=1e-6)
    assert grad_cam(model, images, size=20).shape == (7, 20, 20)
    assert grad_cam(model, images, size=(10, 20)).shape == (7, 10, 20)
    assert grad_cam(model, images, size=1).shape == (7, 1, 1)
    assert grad_cam(model, images, size=(1, 3)).shape == (7, 1, 3)


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam"])
def test_a_function_of_the_logits_is_explained_by_the_method_asked_for(model, images, method):
    ask = {"layer": "stage3_block1_3_relu", "method": method, "size": None, "normalize": False}
    close(
        grad_cam(model, images, lambda logits: logits[:, 4], **ask),
        grad_cam(model, images, 4, **ask),
    )


def test_a_nested_model_is_explained(images):
    inner = keras.Sequential([layers.Conv2D(4, 3, activation="relu")])
    inputs = keras.Input((32, 32, 3))
    outer = layers.Dense(3)(layers.GlobalAveragePooling2D()(inner(inputs)))
    assert grad_cam(keras.Model(inputs, outer), images, 1).shape == (7, 32, 32)


@pytest.mark.parametrize("size", [0, 2.5, (0, 4), (4,), "output"])
def test_a_size_that_is_none_is_refused(model, images, size):
    with pytest.raises(ValueError, match='size must be "input", None, an int >= 1 or'):
        grad_cam(model, images, size=size)


def test_images_without_a_channel_are_resized_to(images):
    """The axes of height and width are what a map is resized to, whether there are channels."""
    inputs = keras.Input((32, 20))
    maps = layers.Conv2D(4, 3, strides=2, activation="relu")(layers.Reshape((32, 20, 1))(inputs))
    scores = layers.Dense(10)(layers.GlobalAveragePooling2D()(maps))
    assert grad_cam(keras.Model(inputs, scores), images[:, :, :20, 0]).shape == (7, 32, 20)


@pytest.mark.parametrize("method", ["grad-cam", "score-cam"])
def test_a_layer_that_is_none_is_refused_and_an_operation_explained(model, images, method):
    for layer in (3, "relu_of_another"):
        with pytest.raises(ValueError, match=f"{layer}"):
            grad_cam(model, images, 3, layer, method=method)
    operation = keras.ops.relu(model.get_layer("stage3_block1_add").output)
    head = model.get_layer("avg_pool")(operation)
    other = keras.Model(model.input, model.get_layer("logits")(2 * head))
    name = operation._keras_history.operation.name
    one = next(one for one in other.operations if one.name == name)
    expected = grad_cam(other, images[:2], 3, name, method=method)
    np.testing.assert_array_equal(grad_cam(other, images[:2], 3, one, method=method), expected)


def test_images_that_are_none_are_named(model):
    with pytest.raises(ValueError, match="^images "):
        grad_cam(model, [np.zeros((32, 32, 3)), np.zeros((16, 16, 3))])


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_mixed_precision(images, policy, tolerance):
    model = randomize(resnet_v2(11, mean=MEAN, std=STD, dtype=policy))
    maps = grad_cam(model, images, 3, size=None, normalize=False)
    assert maps.dtype == np.float32
    close(maps, cam(model, images, np.full(7, 3)), tolerance)


@pytest.mark.parametrize("depth", [11, 20])
def test_default_is_the_last_activation_after_the_last_add(depth):
    assert default_layer(resnet_v2(depth)) == "last_relu"


# Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets, message",
    [
        ([1, 2], r"sequence of 7 ints.*shape \(2,\)"),
        ([1] * 8, r"sequence of 7 ints.*shape \(8,\)"),
        (10, r"0 to 9, got \[10\]"),
        (-1, r"0 to 9, got \[-1\]"),
        ([0, 1, 2, 3, 4, 5, 99], r"0 to 9, got \[99\]"),
        (1.5, "float64"),
        ("cat", "targets must be"),
        (True, "targets must be"),
    ],
)
def test_bad_targets(model, images, targets, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, images, targets)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x[0], r"got \(32, 32, 3\).*image\[None\]"),
        (lambda x: x[:0], r"N >= 1, got \(0, 32, 32, 3\)"),
        (lambda x: x[..., :1], r"\(N, 32, 32, 3\).*got \(7, 32, 32, 1\)"),
        (lambda x: x[:, :16], r"got \(7, 16, 32, 3\)"),
        (lambda x: np.where(np.arange(7)[:, None, None, None] == 5, np.nan, x), r"images \[5\]"),
        (lambda x: x.astype(float) * np.inf, "NaN or infinity"),
        (lambda x: x / 255.0, r"0\.\.255, got values from 0\.0 to 1\.0"),
        (lambda x: x - 128.0, r"0\.\.255, got values from -128"),
        (lambda x: x.astype(str), "must be numbers"),
    ],
)
def test_bad_images(model, images, change, message):
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=message):
        grad_cam(model, change(images))


def test_bad_settings(model, images):
    for settings in ({"size": 0}, {"size": "big"}, {"size": True}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            grad_cam(model, images, **settings)


def test_diverged_weights_are_named(images):
    model = resnet_v2(11)
    model.get_layer("logits").bias.assign(np.full(10, np.nan))
    with pytest.raises(ValueError, match="not finite.*diverged"):
        grad_cam(model, images)


@pytest.mark.parametrize("largest", [0.002, 10_000.0])
def test_half_precision_loses_neither_small_gradients_nor_large_ones(largest):
    """Averaged over 128 x 128 positions a weight of 0.002 is 1e-7: two bits of a float16."""
    inputs = keras.Input((128, 128, 3))
    conv = layers.Conv2D(4, 1, activation="relu", dtype="mixed_float16", name="conv")(inputs)
    pooled = layers.GlobalAveragePooling2D(dtype="mixed_float16")(conv)
    start = keras.initializers.RandomUniform(-largest, largest, seed=0)
    scores = layers.Dense(3, kernel_initializer=start, dtype="float32", name="scores")(pooled)
    model, pixels = keras.Model(inputs, scores), np.random.default_rng(0).random((1, 128, 128, 3))
    activations, _ = values_at(model, pixels, "conv", "scores")
    expected = activations.astype("float32") @ numpy(model.get_layer("scores").kernel)[:, 1]
    maps = grad_cam(model, pixels, 1, size=None, normalize=False, signed=True)
    np.testing.assert_allclose(maps * 128**2, expected, rtol=0.01, atol=5e-4 * largest)


def test_half_precision_is_near_float32_where_a_scaled_gradient_would_overflow():
    """A ReLU makes zeros of NaN on JAX, so that the map does not tell."""
    maps = {}
    for dtype in ("float32", "mixed_float16"):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        x = layers.Rescaling(1 / 255, dtype=dtype)(inputs)
        x = layers.Conv2D(8, 3, activation="relu", dtype=dtype, name="conv")(x)
        x = layers.GlobalAveragePooling2D(dtype=dtype)(layers.Conv2D(8, 3, dtype=dtype)(x))
        steep = keras.initializers.VarianceScaling(1e5)
        x = layers.Dense(5, kernel_initializer=steep, dtype="float32")(
            layers.Dense(16, "tanh", dtype=dtype)(x)
        )
        pixels = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32")
        found = keras.Model(inputs, x)
        maps[dtype] = grad_cam(found, pixels, 1, "conv", method="layer-cam", size=None)
    assert maps["float32"].max(axis=(1, 2)).all()
    np.testing.assert_allclose(maps["mixed_float16"], maps["float32"], atol=0.2)


def test_the_scores_of_a_function_may_be_of_another_dtype(model, images):
    weights = np.zeros(10)  # float64
    weights[3] = 1
    found = grad_cam(model, images, lambda logits: keras.ops.matmul(logits, weights))
    np.testing.assert_allclose(found, grad_cam(model, images, 3), atol=1e-5)
