"""What does a step of the range test cost beside a plain training step, and what the restoring?

`python -m benchmarks.range_test` runs a range test and as many `train_on_batch` on the same network
in turn, in one process. A step of the range test is the time between two batches that it asks for.
Nothing is asserted: machines are noisy.
"""

import argparse
import contextlib
import dataclasses
import statistics
import time
from unittest import mock

import numpy as np

from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training import range_test as lr_range
from utils.training.recipe_model import build_model, compile_model


class TimedBatch:
    """A source of one and the same batch that notes when it is asked for it."""

    def __init__(self, batch):
        self.batch, self.asked = batch, []

    def __iter__(self):
        while True:
            self.asked.append(time.perf_counter())
            yield self.batch


def range_test_seconds(model, batch, num_steps):
    """Seconds of each step but the first, which compiles; seconds of keeping and restoring."""
    source, restoring, restored = TimedBatch(batch), [], lr_range._restored

    @contextlib.contextmanager
    def timed(model):
        start = time.perf_counter()
        with restored(model):
            kept = time.perf_counter()
            yield
            end = time.perf_counter()
        restoring.append(kept - start + time.perf_counter() - end)

    with mock.patch.object(lr_range, "_restored", timed):
        lr_range.range_test(model, source, start_lr=1e-6, end_lr=1e-3, num_steps=num_steps)
    return np.diff(source.asked)[1:].tolist(), restoring[0]


def plain_seconds(model, batch, num_steps):
    """Seconds of each `train_on_batch` but the first."""
    seconds = []
    for _ in range(num_steps):
        start = time.perf_counter()
        float(model.train_on_batch(*batch, return_dict=True)["loss"])
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def main(arguments=None):
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.range_test", description=__doc__)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--steps", type=int, default=12, help="steps in one measurement, 11 or more"
    )
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each kind")
    args = parser.parse_args(arguments)
    runtime = describe_runtime()
    recipe = dataclasses.replace(
        RECIPES["one-cycle"], depth=args.depth, batch_size=args.batch_size, epochs=10
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.batch_size, 32, 32, 3), dtype="uint8")
    batch = images, rng.integers(0, 10, args.batch_size)
    model = build_model(recipe, images, dtype=runtime.precision)
    compile_model(model, recipe, 100 * args.batch_size, on_gpu=runtime.on_gpu)
    plain_seconds(model, batch, 2)  # compiles
    test, plain, restoring = [], [], []
    for _ in range(args.repeat):  # in turn, so that a slow minute hits both
        steps, rest = range_test_seconds(model, batch, args.steps)
        test += steps
        restoring.append(rest)
        plain += plain_seconds(model, batch, args.steps)
    print(f"{runtime}; ResNet{args.depth}v2, batches of {args.batch_size}")
    print(f"plain training step {statistics.median(plain):.4f} s (median of {len(plain)})")
    print(f"range test step     {statistics.median(test):.4f} s (median of {len(test)})")
    print(f"ratio {statistics.median(test) / statistics.median(plain):.3f}")
    print(f"keeping and restoring all state {max(restoring):.3f} s at most")


if __name__ == "__main__":
    main()
