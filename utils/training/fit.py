"""Trains a compiled model: one line an epoch, a history and a checkpoint on disk, resumable.

From a shell, `python -m utils.commands.run_recipe` runs a named recipe and writes its record.
"""

import dataclasses
import functools
from pathlib import Path

import keras

from utils.data.batches import Batches
from utils.out_of_memory import batches_of
from utils.progress import Progress
from utils.training import evaluation, run_folder
from utils.training.callbacks import EpochLog, StartLog, StepProgress
from utils.training.devices import VARIABLE, device_count
from utils.training.epoch_log import EPOCH_HEADER, format_epoch_row
from utils.training.folder_lock import locked
from utils.training.recipe_schedule import schedule_values


def fit(model, recipe, dataset, folder, *, seed=0, profile=None, report=print, say_time_left=False):
    """Trains a compiled model, or goes on where an interrupted run in `folder` stopped.

    Args:
        model: `keras.Model`, compiled by `compile_model`.
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset`; its test part gives the val columns, which are for
            display only.
        folder: path; receives `plan.json`, `starts.json`, `history.csv` and the
            last two checkpoints.
        seed: int, seed of data order and augmentation.
        profile: str, under which settings this start is made, for `starts.json`; None says nothing.
        report: function that prints a line.
        say_time_left: bool; each epoch's line ends with the time the rest will take.

    Returns:
        A list with a dict an epoch, keys `utils.training.epoch_log.CSV_FIELDS`. A run that is
        already complete is loaded, not repeated.

    Raises:
        ValueError: when `folder` holds a run of another recipe, seed, data set, backend or
            precision, or only a part of what a run leaves behind; when another process trains in
            it; when a batch cannot be shared evenly by the devices of the present
            `utils.training.devices.distributed` block. When a batch does not fit into the device's
            memory, `utils.out_of_memory.OutOfMemoryError`, which is one; the folder then goes on
            like any interrupted run.
    """
    devices = device_count()
    _check_shares(devices, len(dataset.x_train), recipe.batch_size, len(dataset.x_test))
    schedules = schedule_values(recipe, len(dataset.x_train))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan = {
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "content_hash": dataset.content_hash,
        "backend": keras.backend.backend(),
        "precision": model.get_layer("stem_conv").dtype_policy.name,
    }
    with locked(folder):
        run_folder.check_plan(folder, plan)
        rows = _resume(model, recipe, folder, report)
        if len(rows) >= recipe.epochs:
            return rows
        batches = Batches(dataset.x_train, dataset.y_train, recipe.batch_size, seed)
        # No more images than in a batch of the training, which needs more memory: what an error
        # advises then helps.
        size = min(evaluation.EVALUATION_BATCH, recipe.batch_size)
        test = Batches(dataset.x_test, dataset.y_test, size - size % devices)
        log = EpochLog(folder, batches, *schedules, seed, rows, report, say_time_left)
        live = Progress()
        # The line of progress first: at an epoch's end it is taken away before the log prints.
        start = StartLog(folder, len(rows) + 1, profile)
        callbacks = [StepProgress(batches.batch_size, live), log, start]
        advice = functools.partial(_smaller, batches.batch_size, recipe, folder, rows)
        try:
            with batches_of(batches.batch_size, advice):
                model.fit(
                    batches.stream(len(rows), recipe.epochs),
                    initial_epoch=len(rows),
                    epochs=recipe.epochs,
                    steps_per_epoch=len(batches),
                    validation_data=test.stream(0, 1),
                    callbacks=callbacks,
                    shuffle=False,  # the order is that of Batches; Keras would use a global state
                    verbose=0,
                )
        finally:
            live.clear()
    return rows


def _resume(model, recipe, folder, report):
    """Loads what an interrupted run has left, tells it, and returns the lines of its epochs."""
    # On TensorFlow an optimizer that has not been built has no slots to save or load; one that
    # scales the loss must not be built twice.
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    rows = run_folder.restore(model, folder, report)
    if len(rows) >= recipe.epochs:
        report(f"Loaded a complete run of {len(rows)} epochs; delete its folder to train anew.")
    elif rows:
        report(f"Resuming after epoch {len(rows)} of {recipe.epochs}.")
    report(EPOCH_HEADER)
    for row in rows:
        report(format_epoch_row(row))
    return rows


def _smaller(size, recipe, folder, rows, half):
    """What to do when a batch of `size` images, which may be less than the recipe's, does not fit:
    the size is part of the run's plan."""
    fitted = f" after {len(rows)} epochs that did fit: see what else uses it" if rows else ""
    changes, options, peak = f"batch_size={half}", f"--batch-size {half}", ""
    if recipe.schedule != "seed_triangle":  # which has its own peak
        max_lr = recipe.max_lr * half / size
        changes, options = f"{changes}, max_lr={max_lr:g}", f"{options} --max-lr {max_lr:g}"
        peak = "; the peak goes with the batch"
    return (
        f"The size is part of the plan of {folder}, which is whole and goes on with the same "
        f"command where there is more memory{fitted}. For a smaller batch begin anew in another "
        f"folder: recipe = dataclasses.replace(recipe, {changes}), or {options} of "
        f"utils.commands.run_recipe{peak}. Several devices ({VARIABLE}) share a batch."
    )


def _check_shares(devices, train_images, batch_size, test_images):
    for what, count in (
        ("a batch", min(batch_size, train_images)),
        ("the test set", test_images),
    ):
        if count % devices:
            raise ValueError(
                f"{what} has {count} images, which {devices} devices cannot share evenly; use "
                f"another number of devices ({VARIABLE}, or --devices where that was given), or "
                f"images in a multiple of {devices}."
            )
