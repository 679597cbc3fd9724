"""Grad-CAM maps beside a forward pass and two other libraries; makers for `benchmarks.workers`."""

import keras

from benchmarks.training import random_images
from utils.explain.explainer import GradCAM
from utils.model.resnet import resnet_v2

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # those of CIFAR-10
DTYPE = "float32"  # pytorch-grad-cam takes no other


def prepare(clock, depth, batch_size, count, packages=()):
    """The same network for everybody, with float pixels, since the peers cannot take others.

    Args:
        clock: `benchmarks.workers.Clock`.
        depth, batch_size, count: ints.
        packages: names, as on PyPI, of the library that is measured.

    Returns:
        A `keras.Model` and its batches, a list of float32 (batch size, 32, 32, 3).
    """
    clock.describe(count, DTYPE, packages)
    keras.utils.set_random_seed(0)
    model = resnet_v2(depth, mean=MEAN, std=STD, dtype=DTYPE)
    twin = keras.models.clone_model(model, input_tensors=keras.Input((32, 32, 3)))
    twin.set_weights(model.get_weights())
    images = random_images(count)[0].astype("float32")
    return twin, [images[at : at + batch_size] for at in range(0, count, batch_size)]


def forward_pass(clock, depth, batch_size, count):
    """Logits by the step that Keras compiles for `predict`."""
    model, batches = prepare(clock, depth, batch_size, count)
    clock.repeat(lambda: [model.predict_on_batch(x) for x in batches])


def ours(clock, depth, batch_size, count):
    """Maps of the predicted classes."""
    model, batches = prepare(clock, depth, batch_size, count)
    explain = GradCAM(model)
    clock.repeat(lambda: [explain(x, batch_size=batch_size) for x in batches])


def tf_keras_vis(clock, depth, batch_size, count):
    """Maps of class 3, at native resolution as ours."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    model, batches = prepare(clock, depth, batch_size, count, ["tf-keras-vis"])
    explain = Gradcam(model, clone=False)
    options = {"penultimate_layer": "last_relu", "seek_penultimate_conv_layer": False}
    options |= {"expand_cam": False, "normalize_cam": False}
    clock.repeat(lambda: [explain(CategoricalScore([3] * len(x)), x, **options) for x in batches])


def pytorch_grad_cam(clock, depth, batch_size, count):
    """Maps of class 3; it always resizes them, here to 32 x 3, which is little work."""
    import torch
    from pytorch_grad_cam import GradCAM as Peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, batches = prepare(clock, depth, batch_size, count, ["grad-cam"])
    layer = [model.get_layer("last_relu")]
    explain = Peer(model, layer, reshape_transform=lambda tensor: tensor.permute(0, 3, 1, 2))
    batches = [torch.as_tensor(x) for x in batches]
    targets = [ClassifierOutputTarget(3)] * batch_size
    clock.repeat(lambda: [explain(x, targets[: len(x)]) for x in batches])
