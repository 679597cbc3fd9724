"""How much faster does a ResNet train with fused batch normalization than with Keras's own layer?

`python -m benchmarks.batch_norm` times whole training steps of both networks in turn, in one
process, and prints the ratio of their median times. Nothing is asserted: machines are noisy.
"""

import argparse
import dataclasses
import statistics
from unittest import mock

import numpy as np
from keras import layers

from benchmarks.workers import in_turn, timed
from utils.data.batches import Batches
from utils.model import resnet
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.recipe_model import build_model, compile_model


def make_trainer(recipe, images, labels, dtype, layer, on_gpu):
    """A function that trains one pass over the images and returns its seconds."""
    with mock.patch.object(resnet, "FusedBatchNormalization", layer):
        model = build_model(recipe, images, dtype=dtype)
    compile_model(model, recipe, len(images), on_gpu=on_gpu)
    batches = Batches(images, labels, recipe.batch_size, seed=0)

    def train():
        return timed(lambda: model.fit(batches, verbose=0, shuffle=False))

    train()  # compiles
    return train


def main(arguments=None):
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_norm", description=__doc__)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6, help="training steps in one measurement")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of each network")
    parser.add_argument("--precision", help="Keras dtype policy; default: what suits the device")
    args = parser.parse_args(arguments)
    runtime = describe_runtime()
    dtype = args.precision or runtime.precision
    recipe = dataclasses.replace(
        RECIPES["one-cycle"], depth=args.depth, batch_size=args.batch_size, epochs=10
    )
    rng, count = np.random.default_rng(0), args.steps * args.batch_size
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
    labels = rng.integers(0, 10, count)
    kinds = {"Keras": layers.BatchNormalization, "fused": resnet.FusedBatchNormalization}
    trainers = {
        name: make_trainer(recipe, images, labels, dtype, layer, runtime.on_gpu)
        for name, layer in kinds.items()
    }
    seconds = in_turn(trainers, args.repeat)
    print(f"{runtime.device}; ResNet{args.depth}v2, batches of {args.batch_size}, {dtype}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:>6}: {count / median:8.1f} images a second")
    ratios = [one / other for one, other in zip(seconds["Keras"], seconds["fused"])]
    speedup = medians["Keras"] / medians["fused"]
    print(f"speed-up {speedup:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
