"""Images a second of the training step: this project beside Keras's defaults and plain PyTorch.

`python -m benchmarks.throughput` trains passes over the same images in turn, each variant in a
process of its own, and compares with the least time that the memory of the device allows: the
bytes that the layers must move at least, over the measured bandwidth of a copy. Variants whose
backend is not installed are left out. `--output FILE` keeps the result as JSON.
"""

import argparse
import dataclasses
import importlib.util
import json
import statistics
from pathlib import Path

import keras
import numpy as np

from benchmarks.workers import Worker, in_turn, serve
from utils.data.batches import Batches
from utils.model.resnet import resnet_v2
from utils.runtime import describe_runtime, git_commit
from utils.settings import RECIPES
from utils.training.recipe_model import build_model, compile_model

VARIANTS = {  # name: (backend, what is measured)
    "ours-jax": ("jax", "this project, Keras on JAX"),
    "ours-tensorflow": ("tensorflow", "this project, Keras on TensorFlow"),
    "defaults-jax": ("jax", "the same network with fit's defaults, Keras on JAX"),
    "defaults-torch": ("torch", "the same network with fit's defaults, Keras on PyTorch"),
    "torch-eager": ("torch", "plain PyTorch, eager"),
    "torch-compiled": ("torch", "plain PyTorch, compiled"),
}
COPY_ELEMENTS = 2**27  # 256 MB in bfloat16, far more than any cache


def ours(args, images, labels):
    """The recipe as it is trained: augmentation, schedules, mixed precision, images on the host."""
    runtime = describe_runtime()
    recipe = dataclasses.replace(
        RECIPES["one-cycle"], depth=args.depth, batch_size=args.batch_size, epochs=50
    )
    model = build_model(recipe, images, dtype=args.precision or runtime.precision)
    compile_model(model, recipe, len(images), on_gpu=runtime.on_gpu)
    batches = Batches(images, labels, recipe.batch_size, seed=0)
    return lambda: model.fit(batches, verbose=0, shuffle=False)


def defaults(args, images, labels):
    """What a newcomer writes: compile, fit, float32, no augmentation."""
    model = resnet_v2(args.depth, l2=RECIPES["one-cycle"].l2)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return lambda: model.fit(images, labels, batch_size=args.batch_size, verbose=0)


def plain_torch(args, images, labels):
    """`benchmarks.torch_resnet`, without augmentation."""
    from benchmarks.torch_resnet import training_pass

    compiled = args.serve == "torch-compiled"
    return training_pass(args.depth, images, labels, args.batch_size, compiled)


def copy(args, images, labels):
    """Reads and writes a large array ten times."""
    if keras.backend.backend() == "jax":
        import jax

        add = jax.jit(lambda x: x + 1)
        array = jax.numpy.zeros(COPY_ELEMENTS, "bfloat16")

        def run():
            result = array
            for _ in range(10):
                result = add(result)
            result.block_until_ready()

        return run
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    array = torch.zeros(COPY_ELEMENTS, dtype=torch.bfloat16, device=device)
    target = torch.empty_like(array)

    def run():
        for _ in range(10):
            target.copy_(array)
        target[:1].float().item()  # waits for the device

    return run


COPIED_BYTES = 10 * 2 * 2 * COPY_ELEMENTS  # ten times, read and written, two bytes each


def counted_bytes(model, itemsize=2):
    """Bytes that a training step has to move for one image, if every layer reads and writes once.

    A convolution reads its input and writes its output. Batch normalization reads its input twice,
    for the statistics and for the result, and writes once; the ReLU behind it is part of that
    kernel. An addition reads two and writes one. The way back takes twice the way forth: it
    reads what the way forth read, and the gradient, for each of two results. Weights are shared
    by the batch and left out.

    Args:
        model: a `keras.Model` from `resnet_v2`.
        itemsize: int, bytes of one activation.
    """
    layers, elements = keras.layers, 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            elements += np.prod(layer.input.shape[1:]) + np.prod(layer.output.shape[1:])
        elif isinstance(layer, (layers.BatchNormalization, layers.Add)):
            elements += 3 * np.prod(layer.output.shape[1:])
    return 3 * itemsize * int(elements)


def main(arguments=None):
    """Parses the command line, measures, prints and keeps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--depth", type=int, default=56)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=98, help="training steps in one pass")
    parser.add_argument("--repeat", type=int, default=5, help="passes of each variant")
    parser.add_argument("--precision", help="of this project; default: what suits the device")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", help="JSON file for the result")
    parser.add_argument("--serve", choices=[*VARIANTS, "copy"], help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    count = args.steps * args.batch_size
    if args.serve:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
        makers = {"ours": ours, "defaults": defaults, "torch": plain_torch, "copy": copy}
        kind = args.serve.partition("-")[0]
        precisions = {"ours": args.precision or describe_runtime().precision, "defaults": "float32"}
        run = makers[kind](args, images, rng.integers(0, 10, count))
        return serve(run, precisions.get(kind, "bfloat16"))
    measure(args, count)


def measure(args, count):
    """Runs the workers in turn; prints the table and writes the JSON file."""
    chosen = {name: VARIANTS[name] for name in args.variants}
    chosen = {name: one for name, one in chosen.items() if importlib.util.find_spec(one[0])}
    if not chosen:
        raise SystemExit("None of the backends of these variants is installed.")
    copier = next((one[0] for one in chosen.values() if one[0] != "tensorflow"), None)
    if copier:
        chosen["copy"] = (copier, "copy of an array")
    words = [f"--depth={args.depth}", f"--batch-size={args.batch_size}", f"--steps={args.steps}"]
    words += [f"--precision={args.precision}"] if args.precision else []
    workers = {
        name: Worker("benchmarks.throughput", ["--serve", name, *words], backend)
        for name, (backend, _) in chosen.items()
    }
    seconds = in_turn({name: worker.seconds for name, worker in workers.items()}, args.repeat)
    for worker in workers.values():
        worker.close()
    result = {
        "git_commit": git_commit(),
        "depth": args.depth,
        "batch_size": args.batch_size,
        "images": count,
        "variants": {
            name: {"what": chosen[name][1], **workers[name].facts, "seconds": times}
            for name, times in seconds.items()
            if name != "copy"
        },
    }
    devices = sorted({worker.facts["device"] for worker in workers.values()})
    print(f"{'; '.join(devices)}; ResNet{args.depth}v2, batches of {args.batch_size}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(workers))
    for name in result["variants"]:
        ratios = sorted(mine / one for mine, one in zip(seconds[first], seconds[name]))
        what = f"{chosen[name][1]}, {workers[name].facts['precision']}"
        print(
            f"{what:>70}: {count / medians[name]:9.0f} images a second, "
            f"{medians[first] / medians[name]:.2f} of the first "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    if "copy" in medians:
        bandwidth = COPIED_BYTES / medians["copy"]
        floor = bandwidth / counted_bytes(resnet_v2(args.depth))
        result |= {"copy_bytes_per_second": bandwidth, "floor_images_per_second": floor}
        print(f"memory: {bandwidth / 1e9:.0f} GB/s copied; at most {floor:.0f} images a second")
    if args.output:
        path = Path(args.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
