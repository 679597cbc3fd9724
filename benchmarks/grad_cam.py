"""How many Grad-CAM maps a second, beside a plain forward pass and beside two other libraries?

`python -m benchmarks.grad_cam` times passes over the same images in turn: Keras's compiled forward
pass, ours, tf-keras-vis in this process and pytorch-grad-cam in a second one, since it needs Keras
on PyTorch. The peers take part where they are installed (`make peers`). The ratios are those of
median times. Nothing is asserted: machines are noisy.
"""

import argparse
import importlib.util
import statistics

import keras
import numpy as np

from benchmarks.workers import Worker, in_turn, serve, timed
from utils.explain.explainer import GradCAM
from utils.model.resnet import resnet_v2
from utils.runtime import describe_runtime

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # those of CIFAR-10


def make_model(depth, dtype):
    """The same network for everybody, with float pixels, since the peers cannot take others."""
    keras.utils.set_random_seed(0)
    model = resnet_v2(depth, mean=MEAN, std=STD, dtype=dtype)
    twin = keras.models.clone_model(model, input_tensors=keras.Input((32, 32, 3)))
    twin.set_weights(model.get_weights())
    return twin


def batches(images, size):
    """The images in parts of one size."""
    return [images[at : at + size] for at in range(0, len(images), size)]


def forward_pass(model, images, size):
    """Logits by the step that Keras compiles for `predict`."""
    parts = batches(images, size)
    return lambda: [model.predict_on_batch(part) for part in parts]


def ours(model, images, size):
    """Maps of the predicted classes."""
    explain = GradCAM(model)
    return lambda: explain(images, batch_size=size)


def tf_keras_vis(model, images, size):
    """Maps of class 3, at native resolution as ours."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    explain, parts = Gradcam(model, clone=False), batches(images, size)
    options = {"penultimate_layer": "last_relu", "seek_penultimate_conv_layer": False}
    options |= {"expand_cam": False, "normalize_cam": False}
    return lambda: [explain(CategoricalScore([3] * len(x)), x, **options) for x in parts]


def pytorch_grad_cam(model, images, size):
    """Maps of class 3; it always resizes them, here to 32 x 3, which is little work."""
    import torch
    from pytorch_grad_cam import GradCAM as Peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = [model.get_layer("last_relu")]
    explain = Peer(model, layer, reshape_transform=lambda tensor: tensor.permute(0, 3, 1, 2))
    parts = [torch.as_tensor(part) for part in batches(images, size)]
    targets = [ClassifierOutputTarget(3)] * size
    return lambda: [explain(part, targets[: len(part)]) for part in parts]


def main(arguments=None):
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grad_cam", description=__doc__)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--images", type=int, default=256, help="images in one pass")
    parser.add_argument("--repeat", type=int, default=7, help="passes of each")
    parser.add_argument("--precision", default="float32", help="Keras dtype policy")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    model = make_model(args.depth, args.precision)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.images, 32, 32, 3)).astype("float32")
    if args.serve:
        return serve(pytorch_grad_cam(model, images, args.batch_size), args.precision)
    kinds = {"forward pass": forward_pass, "ours": ours}
    if importlib.util.find_spec("tf_keras_vis") and keras.backend.backend() == "tensorflow":
        kinds["tf-keras-vis"] = tf_keras_vis
    passes = {name: make(model, images, args.batch_size) for name, make in kinds.items()}
    for run in passes.values():
        run()  # compiles
    measures = {name: lambda run=run: timed(run) for name, run in passes.items()}
    if importlib.util.find_spec("pytorch_grad_cam"):
        options = ("depth", "batch_size", "images", "precision")
        words = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in options]
        peer = Worker("benchmarks.grad_cam", ["--serve", *words], backend="torch")
        measures["pytorch-grad-cam"] = peer.seconds
    seconds = in_turn(measures, args.repeat)
    device = describe_runtime().device
    print(f"{device}; ResNet{args.depth}v2 in {args.precision}, {args.images} images")
    base = statistics.median(seconds["ours"])
    for name, times in seconds.items():
        ratios = sorted(one / mine for one, mine in zip(times, seconds["ours"]))
        print(
            f"{name:>16}: {args.images / statistics.median(times):8.1f} images a second, time "
            f"{statistics.median(times) / base:5.2f} of ours ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
