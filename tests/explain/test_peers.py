"""Our maps beside those of two other libraries, on the same Keras model and layer.

`make peers` installs them and runs this file on both backends; without them it is skipped.
tf-keras-vis needs Keras on TensorFlow, pytorch-grad-cam needs Keras on PyTorch, where a Keras layer
is a `torch.nn.Module` that takes its hooks.
"""

import keras
import numpy as np
import pytest
from small_models import MEAN, STD, randomize

from utils.explain.grad_cam import grad_cam
from utils.model.resnet import resnet_v2

BACKEND = keras.backend.backend()
LAYERS = ("last_relu", "stage3_block1_3_relu", "stage2_block1_add")
METHODS = {
    "grad-cam": ("GradCAM", "gradcam.Gradcam"),
    "hires-cam": ("HiResCAM", None),
    "layer-cam": ("LayerCAM", "layercam.Layercam"),
}


@pytest.fixture(scope="module")
def model():
    """With float pixels: a gradient with respect to whole numbers does not exist for the peers."""
    ours = randomize(resnet_v2(11, mean=MEAN, std=STD))
    twin = keras.models.clone_model(ours, input_tensors=keras.Input((32, 32, 3)))
    twin.set_weights(ours.get_weights())
    return twin


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3)).astype("float32")


def tf_keras_vis(name, model, images, classes, layer=None):
    """Maps at native resolution, not normalized; without a layer, at the peer's own choice."""
    pytest.importorskip("tf_keras_vis")
    import importlib

    from tf_keras_vis.utils.scores import CategoricalScore

    module, name = name.split(".")
    peer = getattr(importlib.import_module(f"tf_keras_vis.{module}"), name)(model, clone=False)
    options = {"expand_cam": False, "normalize_cam": False}
    if layer:
        options |= {"penultimate_layer": layer, "seek_penultimate_conv_layer": False}
    return np.asarray(peer(CategoricalScore(list(classes)), images, **options))


def pytorch_grad_cam(name, model, images, classes, layer):
    """Maps at native resolution, not normalized: the step before the peer resizes its maps."""
    peers = pytest.importorskip("pytorch_grad_cam")
    import torch
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def channels_first(tensor):
        return tensor.permute(0, 3, 1, 2)

    images, layer = torch.as_tensor(images), model.get_layer(layer)
    targets = [ClassifierOutputTarget(int(one)) for one in classes]
    with getattr(peers, name)(model, [layer], reshape_transform=channels_first) as peer:
        peer(images, targets)
        seen = peer.activations_and_grads
        arrays = seen.activations[0].numpy(), seen.gradients[0].numpy()
        return np.maximum(peer.get_cam_image(images, layer, targets, *arrays, False), 0)


def assert_equal(theirs, ours):
    assert ours.shape == theirs.shape and ours.max() > 0
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5 * ours.max())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf-keras-vis needs TensorFlow")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", [one for one, names in METHODS.items() if names[1]])
def test_equals_tf_keras_vis(model, images, method, layer):
    classes = [3, 1, 4, 1, 5]
    theirs = tf_keras_vis(METHODS[method][1], model, images, classes, layer)
    raw = {"method": method, "size": None, "normalize": False}
    assert_equal(theirs, grad_cam(model, images, classes, layer, **raw))


@pytest.mark.skipif(BACKEND != "torch", reason="pytorch-grad-cam needs Keras on PyTorch")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_equals_pytorch_grad_cam(model, images, method, layer):
    classes = [3, 1, 4, 1, 5]
    theirs = pytorch_grad_cam(METHODS[method][0], model, images, classes, layer)
    raw = {"method": method, "size": None, "normalize": False}
    assert_equal(theirs, grad_cam(model, images, classes, layer, **raw))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_the_default_layer_of_tf_keras_vis_misses_what_the_shortcut_carries(model, images):
    """It seeks the last convolution: a pre-activation ResNet's last residual branch.

    The notebook measures on trained weights how little its map has to do with the right one.
    """
    last = [one.name for one in model.layers if isinstance(one, keras.layers.Conv2D)][-1]
    theirs = tf_keras_vis("gradcam.Gradcam", model, images, [3] * 5)
    raw = {"size": None, "normalize": False}
    assert_equal(theirs, grad_cam(model, images, 3, last, **raw))
    right = grad_cam(model, images, 3, **raw)
    assert np.abs(theirs - right).max() > 0.5 * right.max()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_uint8_pixels_are_too_much_for_tf_keras_vis_but_not_for_ours(images):
    ours = randomize(resnet_v2(11, mean=MEAN, std=STD))
    pixels = images.astype("uint8")
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'ndim'"):
        tf_keras_vis("gradcam.Gradcam", ours, pixels, [3] * 5, "last_relu")
    assert grad_cam(ours, pixels, 3).max() == 1


def peer_maps(model, images, classes):
    """Grad-CAM maps at `last_relu` by the peer that runs on this backend."""
    if BACKEND == "tensorflow":
        return tf_keras_vis("gradcam.Gradcam", model, images, classes, "last_relu")
    if BACKEND == "torch":
        return pytorch_grad_cam("GradCAM", model, images, classes, "last_relu")
    pytest.skip("the peers need TensorFlow or PyTorch")


def test_peers_give_an_empty_map_for_a_missing_target(model, images):
    """A target too few, and the last image gets an empty map without a word; ours refuses."""
    short = peer_maps(model, images, [3, 1, 4, 1])
    assert short[:4].max(axis=(1, 2)).min() > 0 and not short[4].any()
    with pytest.raises(ValueError, match="sequence of 5 ints"):
        grad_cam(model, images, [3, 1, 4, 1])


def test_peers_give_a_map_of_nan_for_a_pixel_of_nan(model, images):
    damaged = images.copy()
    damaged[2, 0, 0] = np.nan
    assert np.isnan(peer_maps(model, damaged, [3] * 5)[2]).any()
    with pytest.raises(ValueError, match=r"images \[2\]"):
        grad_cam(model, damaged, 3)


@pytest.mark.skipif(BACKEND != "torch", reason="pytorch-grad-cam needs Keras on PyTorch")
def test_bfloat16_is_too_much_for_pytorch_grad_cam_but_not_for_ours(images):
    half = randomize(resnet_v2(11, mean=MEAN, std=STD, dtype="mixed_bfloat16"))
    with pytest.raises(TypeError, match="BFloat16"):
        peer_maps(half, images, [3] * 5)
    assert grad_cam(half, images, 3).max() == 1


@pytest.mark.skipif(BACKEND != "torch", reason="pytorch-grad-cam needs Keras on PyTorch")
def test_pytorch_grad_cam_takes_the_channels_for_the_width(model, images):
    import torch

    peers = pytest.importorskip("pytorch_grad_cam")
    layer = [model.get_layer("last_relu")]
    with peers.GradCAM(model, layer, reshape_transform=lambda x: x.permute(0, 3, 1, 2)) as peer:
        assert peer(torch.as_tensor(images), None).shape == (5, 32, 3)
    assert grad_cam(model, images).shape == (5, 32, 32)
