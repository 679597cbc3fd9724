"""Score-CAM against a plain loop over the channels, and its limits."""

import cv2
import keras
import numpy as np
import pytest
from small_models import randomize, values_at

from utils.explain import score_cam as module
from utils.explain.grad_cam import grad_cam
from utils.explain.overlay import resize_maps
from utils.explain.score_cam import ScoreCAM
from utils.model.resnet import resnet_v2
from utils.training.evaluation import predict_probabilities

MEAN = np.array([125.3, 123.0, 113.9])
RAW = {"method": "score-cam", "size": None, "normalize": False, "signed": True}


@pytest.fixture(scope="module")
def model():
    return randomize(resnet_v2(11, mean=MEAN, std=[63.0, 62.1, 66.7]))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def by_hand(model, image, target, layer):
    channels, _ = values_at(model, image[None], layer, "logits")
    gray = np.broadcast_to(np.rint(MEAN).astype("uint8"), image.shape)
    start = predict_probabilities(model, gray[None])[0, target]
    result = np.zeros(channels.shape[1:3])
    for k in range(channels.shape[3]):
        channel = channels[0, ..., k].astype("float32")
        mask = cv2.resize(channel, (32, 32), interpolation=cv2.INTER_LINEAR)
        if mask.max() == mask.min():
            continue
        mask = ((mask - mask.min()) / (mask.max() - mask.min()))[..., None]
        shown = np.rint(MEAN + mask * (image - MEAN)).clip(0, 255).astype("uint8")
        result += (predict_probabilities(model, shown[None])[0, target] - start) * channel
    return result


def test_equals_a_loop_over_the_channels(model, images):
    maps = grad_cam(model, images, [3, 4], "stage1_block1_2_relu", **RAW)  # 16 channels
    for image, target, found in zip(images, (3, 4), maps):
        expected = by_hand(model, image, target, "stage1_block1_2_relu")
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())


def test_explains_the_predicted_class_at_the_default_layer(model, images):
    maps = grad_cam(model, images, method="score-cam")
    assert maps.shape == (2, 32, 32) and 0 <= maps.min() <= maps.max() <= 1
    predicted = predict_probabilities(model, images).argmax(axis=1)
    np.testing.assert_array_equal(maps, grad_cam(model, images, predicted, method="score-cam"))


def test_constant_channels_have_no_say(images):
    model = randomize(resnet_v2(11))
    bn = model.get_layer("last_bn")
    bn.gamma.assign(np.zeros(bn.gamma.shape))  # every channel of last_relu becomes constant
    maps = grad_cam(model, images, 3, **RAW)
    assert not maps.any()


def test_what_it_cannot_do_is_refused(model, images):
    with pytest.raises(ValueError, match="Score-CAM weighs probabilities"):
        grad_cam(model, images, 3, method="score-cam", contrast=5)
    with pytest.raises(ValueError, match="score-cam explains no function of the logits"):
        grad_cam(model, images, lambda logits: logits[:, 0], method="score-cam")
    with pytest.raises(ValueError, match="no layer 'nowhere'"):
        grad_cam(model, images, 3, "nowhere", method="score-cam")
    with pytest.raises(ValueError, match="batch_size must be an int >= 1, got 0"):
        grad_cam(model, images, 3, method="score-cam", batch_size=0)


def test_a_diverged_network_is_refused(images):
    diverged = resnet_v2(11)
    diverged.get_layer("logits").bias.assign(np.full(10, np.nan))
    with pytest.raises(ValueError, match="not finite. Its weights may have diverged"):
        grad_cam(diverged, images, method="score-cam")


def test_a_model_without_normalization_is_hidden_in_black():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    plain = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )
    x = np.random.default_rng(0).random((2, 8, 8, 3), "float32") * 255
    maps = grad_cam(plain, x, 1, method="score-cam")
    assert maps.shape == (2, 8, 8) and np.isfinite(maps).all()
    assert ScoreCAM(plain)._hidden.tolist() == [0.0]


SCALES = {
    "none": ([], [0]),
    "first of two": (
        [("Rescaling", {"scale": 1 / 255}), ("Normalization", {"mean": 0.5, "variance": 1})],
        [0],
    ),
    "as MobileNet": ([("Rescaling", {"scale": 1 / 127.5, "offset": -1})], [127.5]),
    "each channel": ([("Normalization", {"mean": [120, 110, 100], "variance": [9] * 3})], 0),
}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", SCALES)
def test_the_layer_that_scales_the_pixels_says_how_they_are_hidden(name, nested, dtype):
    scales, hidden = SCALES[name]
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3)])
    stack = [getattr(keras.layers, kind)(**options) for kind, options in scales]
    inputs = keras.Input((8, 8, 3), dtype=dtype)
    if nested and stack:
        inner = keras.Sequential([keras.Input((8, 8, 3)), *stack, *inner.layers])
        stack = []
    x = keras.ops.cast(inputs, "float32")
    for layer in [*stack, inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]:
        x = layer(x)
    found = ScoreCAM(keras.Model(inputs, x))._hidden.ravel()
    np.testing.assert_allclose(found, hidden or [120, 110, 100], rtol=1e-6)


def test_no_more_pictures_are_held_than_in_a_pass(model, images, monkeypatch):
    """ResNet50 has 2,048 channels: at 224 pixels that many pictures are gigabytes."""
    expected = grad_cam(model, images[:1], 3, method="score-cam")
    seen = []

    def resized(channels, size):
        seen.append(len(channels))
        return resize_maps(channels, size)

    monkeypatch.setattr(module, "resize_maps", resized)
    maps = grad_cam(model, images[:1], 3, method="score-cam", batch_size=100)
    assert seen == [100, 100, 56]
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_pixels_of_16_bits_are_not_cut_to_8():
    def build(dtype):
        inputs = keras.Input((16, 16, 1), dtype=dtype)
        x = keras.layers.Rescaling(1 / 65535)(inputs)
        x = keras.layers.Conv2D(6, 3, activation="relu")(x)
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x)))

    floats, whole = build("float32"), build("uint16")
    whole.set_weights(floats.get_weights())
    pixels = np.random.default_rng(0).integers(0, 65536, (2, 16, 16, 1)).astype("uint16")
    expected = grad_cam(floats, pixels, 1, **RAW)
    for given in (pixels, pixels.astype("float32")):
        found = grad_cam(whole, given, 1, **RAW)
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
