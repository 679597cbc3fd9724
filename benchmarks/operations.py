"""Where the time of a training step goes, by kind of operation, and what the machine could do.

TensorFlow on a CPU only: there the profiler names each kernel after its operation; XLA melts
operations together, and has names of its own.
"""

import collections
import concurrent.futures
import glob
import os
import re
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.processors import Others
from benchmarks.training import random_images, recipe_model
from benchmarks.workers import tell
from utils.model.resnet import stage_table
from utils.runtime import describe_runtime

KINDS = {  # of TensorFlow's operations; the first pattern that fits decides
    "convolution, gradient of the kernel": r"Conv2DBackpropFilter",
    "convolution, gradient of the input": r"Conv2DBackpropInput",
    "convolution, forward": r"Conv2D",
    "batch normalization, gradient": r"FusedBatchNormGrad",
    "batch normalization, forward": r"FusedBatchNorm",
    "ReLU, gradient": r"ReluGrad",
    "ReLU, forward": r"Relu",
    "gradient of the biases": r"BiasAddGrad",
    "layout changes": r"Transpose",
    "sums (residuals, gradients)": r"Add",
    "rest": r"",
}
MATRIX, COPIED = 4096, 2**28  # side of a matrix; bytes of an array, far more than any cache


def kind_of(operation):
    """The key of `KINDS` for the name of a TensorFlow operation, such as `"Conv2D"`."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, operation))


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


def counted_flop(model):
    """Floating-point operations of a training step for one image: two a multiply-add, and the way
    back, which has two gradients, twice the way forth."""
    return 3 * 2 * sum(stage.multiply_adds for stage in stage_table(model))


def profile(clock, depth, batch_size, steps, passes):
    """A maker for `benchmarks.workers` that measures all at once and answers a record's part."""
    images, labels = random_images(steps * batch_size)
    model = recipe_model(clock, depth, batch_size, images)
    seconds, others = profiled_seconds(model, images, labels, batch_size, passes)
    rates, work, others_then = machine_seconds(passes)
    runtime = describe_runtime()
    bfloat16 = clock.precision == "mixed_bfloat16"
    tell(
        {
            "device": runtime.device,
            "versions": runtime.versions(),
            "settings": runtime.settings,
            "precision": clock.precision,
            "images": batch_size,
            "kinds": [kind for kind in KINDS if kind in seconds],
            "seconds": seconds | rates,
            "others": others + others_then,
            "work": work,
            "bytes_per_image": counted_bytes(model, itemsize=2 if bfloat16 else 4),
            "flop_per_image": counted_flop(model),
        }
    )


def profiled_seconds(model, images, labels, batch_size, passes):
    """Seconds a step of each kind of operation, and of the whole `step`, pass by pass.

    Returns:
        Dict of lists of seconds, and list of what part of the processors others took.
    """
    batches = [
        (tf.constant(images[at : at + batch_size]), tf.constant(labels[at : at + batch_size]))
        for at in range(0, len(images), batch_size)
    ]
    for _ in range(2):
        model.train_on_batch(*batches[0])  # compiles
    seconds, shares = collections.defaultdict(list), []
    for _ in range(passes):
        with tempfile.TemporaryDirectory() as folder:
            with tf.profiler.experimental.Profile(folder):
                others, start = Others(), time.perf_counter()
                for batch in batches:
                    model.train_on_batch(*batch)
                whole = time.perf_counter() - start
                shares.append(others.share())
            kinds = kernel_seconds(folder)
        seconds["step"].append(whole / len(batches))
        for kind in KINDS:
            seconds[kind].append(kinds[kind] / len(batches))
    return {kind: times for kind, times in seconds.items() if min(times) > 0}, shares


def kernel_seconds(folder):
    """Seconds of each kind of operation in what the profiler has written: a Counter."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
    with open(path, "rb") as file:
        space.ParseFromString(file.read())
    seconds = collections.Counter()
    for plane in space.planes:
        if "host:CPU" not in plane.name:
            continue
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # Kernels are called "node:operation", functions of C++ "class::function".
                node, _, operation = name.rpartition(":")
                if node and not node.endswith(":") and operation.isidentifier():
                    seconds[kind_of(operation)] += event.duration_ps / 1e12
    return seconds


def machine_seconds(passes):
    """Seconds of a product of two matrices and of a copy of a large array, by all cores.

    Returns:
        Dict of name to a list of seconds, dict of name to the FLOP or bytes of one measurement,
        and list of what part of the processors others took in each turn.
    """
    matrices = {
        name: tf.cast(tf.random.uniform((MATRIX, MATRIX)), name) for name in ("bfloat16", "float32")
    }
    cores = os.cpu_count()
    source, target = np.ones((2, cores, COPIED // cores), "uint8")
    pool = concurrent.futures.ThreadPoolExecutor(cores)  # NumPy copies without Python's lock
    multiply = tf.function(lambda a: tf.matmul(a, a))
    runs = {
        f"matmul_{name}": lambda matrix=matrix: multiply(matrix)[0, 0].numpy()
        for name, matrix in matrices.items()
    }
    runs["copy"] = lambda: list(pool.map(np.copyto, target, source))
    seconds, shares = {name: [] for name in runs}, []
    for turn in range(passes + 1):
        others = Others()
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:  # the first one compiles
                seconds[name].append(time.perf_counter() - start)
        if turn:
            shares.append(others.share())
    work = {f"matmul_{name}": 2 * MATRIX**3 for name in matrices}
    return seconds, work | {"copy": 2 * COPIED}, shares  # read and written
