"""Training steps to be timed: this project's, parts of it left out, and what others write.

Each function is a maker for `benchmarks.workers`; all train `resnet_v2` on random pixels.
"""

import dataclasses
import itertools
import time
from unittest import mock

import keras
import numpy as np
from keras import layers

from utils.data.batches import PREFETCHED, Batches
from utils.model import resnet
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.range_test import range_test
from utils.training.recipe_model import build_model, compile_model

EPOCHS = 200  # more than any measurement has passes


class EpochPasses(keras.callbacks.Callback):
    """Makes every epoch of `fit` a pass of the clock.

    Args:
        clock: `benchmarks.workers.Clock`.
        batches: `Batches` that need to be told the epoch, or None.
    """

    async_safe = True  # Keras need not wait for each step because of this callback

    def __init__(self, clock, batches=None):
        super().__init__()
        self.clock, self.batches = clock, batches

    def on_epoch_begin(self, epoch, logs=None):
        if self.batches is not None:
            self.batches.set_epoch(epoch)
        self.clock.begin()

    def on_epoch_end(self, epoch, logs=None):
        self.clock.end()


def random_images(count):
    """Random pixels uint8 (count, 32, 32, 3) and labels int32 (count,)."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
    return images, rng.integers(0, 10, count, dtype="int32")


def recipe_model(clock, depth, batch_size, images, precision=None, **changes):
    """The network of the recipe, compiled as for training; its pass is noted.

    Returns:
        `keras.Model`.
    """
    runtime = describe_runtime()
    recipe = dataclasses.replace(
        RECIPES["one-cycle"], depth=depth, batch_size=batch_size, epochs=EPOCHS, **changes
    )
    clock.describe(len(images), precision or runtime.precision)
    model = build_model(recipe, images, dtype=clock.precision)
    return compile_model(model, recipe, len(images), on_gpu=runtime.on_gpu)


def fit_stream(clock, model, images, labels, batch_size):
    """Feeds `fit` as `utils.training.fit` does."""
    batches = Batches(images, labels, batch_size, seed=0)
    model.fit(
        batches.stream(0, EPOCHS),
        epochs=EPOCHS,
        steps_per_epoch=len(batches),
        callbacks=[EpochPasses(clock, batches)],
        shuffle=False,
        verbose=0,
    )


def ours(clock, depth, batch_size, count, precision=None):
    """The recipe as it is trained: augmentation, schedules, mixed precision."""
    images, labels = random_images(count)
    model = recipe_model(clock, depth, batch_size, images, precision)
    fit_stream(clock, model, images, labels, batch_size)


def without_augmentation(clock, depth, batch_size, count):
    """... but for the augmentation."""
    images, labels = random_images(count)
    changes = {"shift": 0, "flip": False, "erase_probability": 0.0}
    model = recipe_model(clock, depth, batch_size, images, **changes)
    fit_stream(clock, model, images, labels, batch_size)


def keras_batch_norm(clock, depth, batch_size, count):
    """... but for batch normalization, which is Keras's own layer."""
    images, labels = random_images(count)
    with mock.patch.object(resnet, "FusedBatchNormalization", layers.BatchNormalization):
        model = recipe_model(clock, depth, batch_size, images)
    fit_stream(clock, model, images, labels, batch_size)


def changed(clock, depth, batch_size, count, *, jit=None, steps_per_execution=1, prefetched=None):
    """... but for a setting of Keras or of the input: what was tried, see `README.md`."""
    images, labels = random_images(count)
    model = recipe_model(clock, depth, batch_size, images)
    model.steps_per_execution = steps_per_execution
    if jit is not None:
        model.jit_compile = jit
    with mock.patch("utils.data.batches.PREFETCHED", prefetched or PREFETCHED):
        fit_stream(clock, model, images, labels, batch_size)


def in_memory(clock, depth, batch_size, count, precision=None):
    """No input at all: a bare loop over the compiled step, always with the same batch."""
    images, labels = random_images(count)
    model = recipe_model(clock, depth, batch_size, images, precision)
    model.make_train_function()
    batch = (
        keras.ops.convert_to_tensor(images[:batch_size]),
        keras.ops.convert_to_tensor(labels[:batch_size]),
    )
    source = itertools.repeat(batch)

    def run():
        for _ in range(count // batch_size):
            logs = model.train_function(source)
        float(logs["loss"])  # waits for the device

    clock.repeat(run)


class HostBatches(keras.utils.PyDataset):
    """Batches that are picked by NumPy on the host, as this project did it until commit 02de6c1."""

    def __init__(self, images, labels, batch_size):
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.order = np.random.default_rng(0).permutation(len(images))

    def __len__(self):
        return len(self.images) // self.batch_size

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.images[chosen], self.labels[chosen]


def from_host(clock, depth, batch_size, count, precision=None):
    """The recipe, fed as until commit 02de6c1; to be run with the settings that TensorFlow has."""
    images, labels = random_images(count)
    model = recipe_model(clock, depth, batch_size, images, precision)
    batches = HostBatches(images, labels, batch_size)
    # A call for each pass, so that letting go of the iterator counts.
    clock.repeat(lambda: model.fit(batches, shuffle=False, verbose=0))


def plain_keras(clock, depth, count, augment=None, precision="float32"):
    """What a newcomer compiles: Keras's layers, SGD, XLA left to Keras."""
    clock.describe(count, precision)
    l2 = RECIPES["one-cycle"].l2
    with mock.patch.object(resnet, "FusedBatchNormalization", layers.BatchNormalization):
        model = resnet.resnet_v2(depth, l2=l2, augment=augment, dtype=precision)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def keras_defaults(clock, depth, batch_size, count, precision="float32"):
    """`fit` on arrays, augmentation by Keras's layers."""
    images, labels = random_images(count)
    shift = layers.RandomTranslation(0.125, 0.125, "nearest", dtype="float32")
    augment = keras.Sequential([shift, layers.RandomFlip("horizontal", dtype="float32")])
    model = plain_keras(clock, depth, count, augment, precision)
    model.fit(
        images,
        labels,
        batch_size=batch_size,
        epochs=EPOCHS,
        callbacks=[EpochPasses(clock)],
        verbose=0,
    )


def python_generator(clock, depth, batch_size, count):
    """The way of 2019: a Python generator, every image shifted, flipped and erased by NumPy."""
    images, labels = random_images(count)
    model = plain_keras(clock, depth, count)
    model.fit(
        augmented_on_host(images, labels, batch_size),
        epochs=EPOCHS,
        steps_per_epoch=count // batch_size,
        callbacks=[EpochPasses(clock)],
        verbose=0,
    )


def augmented_on_host(images, labels, batch_size):
    """Yields batches for ever, each image augmented on its own as `seed-2019` does it."""
    rng, recipe = np.random.default_rng(0), RECIPES["seed-2019"]
    shift, size = recipe.shift, images.shape[1]
    while True:
        order = rng.permutation(len(images))
        for at in range(0, len(order) - batch_size + 1, batch_size):
            batch = images[order[at : at + batch_size]].astype("float32")
            for image in batch:
                rows, columns = (
                    np.clip(np.arange(size) + move, 0, size - 1)
                    for move in rng.integers(-shift, shift + 1, 2)
                )
                image[:] = image[rows][:, columns]
                if rng.random() < 0.5:
                    image[:] = image[:, ::-1]
                if rng.random() < recipe.erase_probability:
                    erase(image, rng, recipe.erase_area)
            yield batch, labels[order[at : at + batch_size]]


def erase(image, rng, share):
    """Fills a random rectangle of one image, in place, drawing until it fits."""
    size = image.shape[0]
    while True:
        area, ratio = size * size * rng.uniform(*share), rng.uniform(0.3, 1 / 0.3)
        height, width = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
        top, left = rng.integers(0, size, 2)
        if top + height <= size and left + width <= size:
            image[top : top + height, left : left + width] = rng.uniform(0, 255)
            return


class TimedBatch:
    """A source of one and the same batch that notes when it is asked for it."""

    def __init__(self, batch):
        self.batch, self.asked = batch, []

    def __iter__(self):
        while True:
            self.asked.append(time.perf_counter())
            yield self.batch


def lr_range_test(clock, depth, batch_size, count):
    """Steps of the range test: the time between two batches that it asks for.

    A pass is a range test of two steps more than `count` images take: the first one compiles, the
    last one is not followed by another.
    """
    images, labels = random_images(batch_size)
    model = recipe_model(clock, depth, batch_size, images)
    steps = count // batch_size
    clock.describe(steps * batch_size, clock.precision)
    while True:
        clock.begin()
        source = TimedBatch((images, labels))
        range_test(model, source, start_lr=1e-6, end_lr=1e-3, num_steps=steps + 2)
        clock.end(source.asked[-1] - source.asked[1])
