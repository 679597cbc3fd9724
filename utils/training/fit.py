"""Trains a recipe: one line an epoch, a history and a checkpoint on disk, resumable.

From a shell, `python -m utils.commands.run_recipe --help` runs a named recipe and writes its record.
"""

import dataclasses
import math
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from utils.data.batches import Batches
from utils.data.dataset import channel_statistics, pixel_mean
from utils.model.augment import Augment
from utils.model.resnet import resnet_v2
from utils.runtime import describe_runtime, git_commit
from utils.training import run_folder, schedule
from utils.training.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row

EVALUATION_BATCH = 500  # divides 5,000 and 10,000: one shape, one compilation


@keras.saving.register_keras_serializable(package="assignment")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits against integer labels, with label smoothing.

    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, Section 7. Keras offers smoothing for
    one-hot labels only; the host would have to build those for every batch.

    Args:
        label_smoothing: float in [0, 1), share of the target spread evenly over all classes.
    """

    def __init__(self, label_smoothing=0.0, name="smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")  # Keras made floats of them
        targets = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.categorical_crossentropy(
            targets, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def build_model(recipe, x_train, *, seed=0, dtype="float32"):
    """Builds the recipe's network for a training set, which decides the normalization.

    Args:
        recipe: `utils.settings.Recipe`.
        x_train: uint8 (n, 32, 32, 3), the images to train on.
        seed: int; also seeds Python, NumPy and the backend, so that the weights repeat.
        dtype: Keras dtype policy of the layers.

    Returns:
        A `keras.Model`, not compiled.

    Raises:
        ValueError: on an unknown normalization or an argument that the layers refuse.
    """
    keras.utils.set_random_seed(seed)
    if recipe.normalization == "channel":
        mean, std = channel_statistics(x_train)
    elif recipe.normalization == "pixel_mean":
        mean, std = pixel_mean(x_train), 255.0
    else:
        raise ValueError(
            f"normalization must be 'channel' or 'pixel_mean', got {recipe.normalization!r}."
        )
    return resnet_v2(
        recipe.depth,
        mean=mean,
        std=std,
        l2=recipe.l2,
        bn_momentum=recipe.bn_momentum,
        augment=augmenter(recipe, seed),
        dtype=dtype,
    )


def augmenter(recipe, seed=0):
    """The recipe's augmentation, a layer for normalized images; see `utils.model.augment.Augment`."""
    return Augment(
        recipe.shift,
        recipe.flip,
        recipe.erase_probability,
        erase_area=recipe.erase_area,
        erase_fill=recipe.erase_fill,
        seed=seed,
    )


def steps_per_epoch(recipe, train_images):
    """Steps of one epoch; the last batch is filled up, see `Batches`."""
    return math.ceil(train_images / min(recipe.batch_size, train_images))


def schedule_values(recipe, train_images):
    """Learning rate and momentum of every training step.

    Args:
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.

    Returns:
        Two float64 arrays of length epochs x steps per epoch.

    Raises:
        ValueError: on an unknown schedule or impossible settings of it.
    """
    steps = steps_per_epoch(recipe, train_images)
    total = recipe.epochs * steps
    if recipe.schedule == "one_cycle":
        step = np.arange(total)
        rate = schedule.one_cycle(step, total, recipe.max_lr, pct_start=recipe.pct_start)
        momentum = schedule.one_cycle_momentum(
            step,
            total,
            pct_start=recipe.pct_start,
            max_momentum=recipe.max_momentum,
            base_momentum=recipe.base_momentum,
        )
        return rate, momentum
    if recipe.schedule == "seed_triangle":
        rate = np.repeat([schedule.seed_triangle(epoch) for epoch in range(recipe.epochs)], steps)
        return rate, np.full(total, recipe.max_momentum)
    if recipe.schedule == "step_decay":
        rate = schedule.step_decay(np.arange(total), total, recipe.max_lr)
        return rate, np.full(total, recipe.max_momentum)
    raise ValueError(
        f"schedule must be 'one_cycle', 'step_decay' or 'seed_triangle', got {recipe.schedule!r}."
    )


def decay_e_foldings(recipe, train_images):
    """How often the L2 penalty alone would shrink the kernels by a factor e in the whole run.

    A step multiplies a kernel by 1 - 2 l2 lr, and momentum adds up 1 / (1 - momentum) such steps.
    Where batch normalization follows a convolution, the size of its kernel does not matter; there
    the penalty acts through the effective learning rate (van Laarhoven 2017,
    https://arxiv.org/abs/1706.05350), or, seen otherwise, makes the kernel a moving average of its
    updates (Wang and Aitchison 2024, https://arxiv.org/abs/2405.13698, for AdamW): the more
    e-foldings in a run, the fewer of its steps the final weights average over.

    Args:
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.

    Returns:
        float >= 0, the sum of 2 l2 lr / (1 - momentum) over all steps.

    Raises:
        ValueError: as `schedule_values`.
    """
    rate, momentum = schedule_values(recipe, train_images)
    return float(np.sum(2 * recipe.l2 * rate / (1 - momentum)))


def compile_model(model, recipe, train_images, *, on_gpu=False):
    """Compiles a model for its recipe: schedules inside the step, loss from logits.

    Args:
        model: `keras.Model` from `build_model`.
        recipe: `utils.settings.Recipe`.
        train_images: int, images in the training set.
        on_gpu: bool; XLA pays on an accelerator, on a CPU TensorFlow's own kernels start sooner.

    Returns:
        The same model.
    """
    rate, momentum = schedule_values(recipe, train_images)
    optimizer = schedule.OneCycleSGD(
        learning_rate=schedule.ScheduleTable(rate), momentum=schedule.ScheduleTable(momentum)
    )
    # Layers carry their own policy, so Keras cannot see by itself that gradients may underflow.
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer,
        loss=SmoothedCrossentropy(recipe.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=on_gpu or keras.backend.backend() == "jax",
    )
    return model


class EpochLog(keras.callbacks.Callback):
    """After each epoch: a line into `history.csv`, then a checkpoint, then the line on screen.

    The line is on disk before the checkpoint: what a crash between the two leaves behind is a
    line too many, which `fit` cuts off when it resumes, never a line too few.

    Args:
        folder: `pathlib.Path` for `history.csv` and the checkpoint.
        batches: the `Batches` of the training set.
        rate, momentum: values of every step.
        seed: int, seed of the augmentation.
        rows: list that receives a dict with the keys of `CSV_FIELDS` for each epoch.
        report: function that prints a line.
    """

    def __init__(self, folder, batches, rate, momentum, seed, rows, report=print):
        super().__init__()
        self.folder, self.batches, self.seed = folder, batches, seed
        self.rate, self.momentum, self.rows, self.report = rate, momentum, rows, report

    def on_epoch_begin(self, epoch, logs=None):
        # Both depend on (seed, epoch) alone, so a resumed run continues as if never stopped.
        self.batches.set_epoch(epoch)
        for layer in self.model.layers:
            if isinstance(layer, Augment):
                layer.seed_generator.state.assign([self.seed, epoch * 1_000_000])
        self.first = int(self.model.optimizer.iterations)
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        # The optimizer's own count: a step that loss scaling skips, for an overflow in float16,
        # does not move the schedule.
        first, last = self.first, max(self.first, int(self.model.optimizer.iterations) - 1)
        values = (
            epoch + 1,
            float(self.rate[first]),
            float(self.rate[last]),
            float(self.momentum[first]),
            float(self.momentum[last]),
            round(time.perf_counter() - self.start, 2),
            *(round(float(logs[k]), 6) for k in ("loss", "accuracy", "val_loss", "val_accuracy")),
        )
        row = dict(zip(CSV_FIELDS, values, strict=True))
        self.rows.append(row)
        run_folder.write_history(self.folder, self.rows)
        run_folder.save_checkpoint(self.model, self.folder, epoch + 1)
        self.report(format_epoch_row(row))


class StartLog(keras.callbacks.Callback):
    """Notes in `starts.json` what each start of a run ran on and how long it took to compile.

    A long run may be interrupted and go on elsewhere; its record then names every machine and
    every commit. The compile time is the time until the first step is done: reading the first
    batch, tracing, compiling, and that one step.

    Args:
        folder: `pathlib.Path` of the run.
        epoch: int >= 1, the first epoch of this start.
    """

    async_safe = True  # on a GPU Keras need not wait for each step because of this callback

    def __init__(self, folder, epoch):
        super().__init__()
        self.folder, self.epoch, self.begin = folder, epoch, None

    def on_train_begin(self, logs=None):
        self.begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if self.begin is None:
            return
        seconds, self.begin = time.perf_counter() - self.begin, None
        runtime = describe_runtime()
        start = {"epoch": self.epoch, "compile_seconds": round(seconds, 2)}
        start |= {"device": runtime.device, "versions": runtime.versions()}
        start |= {"settings": runtime.settings}
        run_folder.add_start(self.folder, {**start, "git_commit": git_commit()})


def fit(model, recipe, dataset, folder, *, seed=0, report=print):
    """Trains a compiled model, or goes on where an interrupted run in `folder` stopped.

    Args:
        model: `keras.Model`, compiled by `compile_model`.
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset`; its test part gives the val columns, for display only.
        folder: path; receives `plan.json`, `starts.json`, `history.csv` and one
            `checkpoint-NNNN.weights.h5`.
        seed: int, seed of data order and augmentation.
        report: function that prints a line.

    Returns:
        A list with a dict an epoch, keys `utils.training.epoch_log.CSV_FIELDS`. A run that is already
        complete is loaded, not repeated.

    Raises:
        ValueError: when `folder` holds a run of another recipe, seed, data set or precision, or
            only a part of what a run leaves behind.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan = {
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "content_hash": dataset.content_hash,
        "backend": keras.backend.backend(),
        "precision": model.get_layer("stem_conv").dtype_policy.name,
    }
    run_folder.check_plan(folder, plan)
    rate, momentum = schedule_values(recipe, len(dataset.x_train))
    # On TensorFlow an optimizer that has not been built has no slots to save or load; one that
    # scales the loss must not be built twice.
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    rows = run_folder.restore(model, folder)
    if len(rows) >= recipe.epochs:
        report(f"Loaded a complete run of {len(rows)} epochs; delete its folder to train anew.")
    elif rows:
        report(f"Resuming after epoch {len(rows)} of {recipe.epochs}.")
    report(EPOCH_HEADER)
    for row in rows:
        report(format_epoch_row(row))
    if len(rows) >= recipe.epochs:
        return rows
    batches = Batches(dataset.x_train, dataset.y_train, recipe.batch_size, seed)
    test = Batches(dataset.x_test, dataset.y_test, EVALUATION_BATCH)
    log = EpochLog(folder, batches, rate, momentum, seed, rows, report)
    model.fit(
        batches.stream(len(rows), recipe.epochs),
        initial_epoch=len(rows),
        epochs=recipe.epochs,
        steps_per_epoch=len(batches),
        validation_data=test.stream(0, 1),
        callbacks=[log, StartLog(folder, len(rows) + 1)],
        shuffle=False,  # the order is that of Batches; Keras would shuffle it by a global state
        verbose=0,
    )
    return rows


def predict_logits(model, images):
    """Logits, float32 (n, classes), of uint8 images (n, 32, 32, 3), without augmentation.

    One compiled call for each `EVALUATION_BATCH` images, the last one filled up with copies of its
    first image, so that it is compiled once. `predict` would build an iterator for every call.
    """
    logits = []
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = images[start : start + EVALUATION_BATCH]
        missing = EVALUATION_BATCH - len(batch) if start else 0
        padded = np.concatenate([batch, np.repeat(batch[:1], missing, axis=0)])
        logits.append(model.predict_on_batch(padded)[: len(batch)])
    return np.concatenate(logits)
