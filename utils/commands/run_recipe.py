"""Trains a recipe, keeps its weights and writes its record: for the notebook and for the shell.

Example: `python -m utils.commands.run_recipe one-cycle --depth 20 --epochs 14 --batch-size 256
--output runs/resnet20v2`. Interrupted, the same command goes on after the last whole epoch.
"""

import dataclasses
import sys
from pathlib import Path

from utils.commands.arguments import command_parser, exit_status
from utils.data.sources import load_dataset
from utils.explain.galleries import class_gallery, first_look
from utils.figures.style import save_png
from utils.location import path_argument
from utils.records.read import FIRST_LOOK_FILE, HEATMAPS_FILE, WEIGHTS_FILE
from utils.records.weights import save_weights
from utils.records.write import ON_TEST_SET, make_record, save_record
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.devices import choose_devices, distributed
from utils.training.evaluation import DivergedError, evaluate_with_mirror
from utils.training.fit import fit
from utils.training.recipe_model import build_model, compile_model
from utils.training.run_folder import checkpoints_of, planned_precision, read_starts

# Fields of a recipe that the shell may change, with the type of the option.
OPTIONS = {
    "depth": int,
    "epochs": int,
    "batch_size": int,
    "max_lr": float,
    "l2": float,
    "erase_probability": float,
}


def run_recipe(
    recipe,
    dataset,
    folder,
    *,
    profile,
    seed=0,
    validation,
    precision=None,
    devices=None,
    keep_weights=True,
):
    """Builds, trains and records one run.

    Args:
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset`.
        folder: path of the run, for example `runs/one-cycle-seed-0`; its name names the run.
        profile: str, stored in the record if this call trains; see
            `utils.records.write.make_record`.
        seed: int, of weights, data order and augmentation.
        validation: str, what the test part of `dataset` is.
        precision: Keras dtype policy; by default that of the run begun in `folder`, else the
            device's own.
        devices: int, how many to train on; by default as `utils.training.devices.choose_devices`.
        keep_weights: bool, False to leave nothing but history and record.

    Returns:
        (model, record).
    """
    runtime = describe_runtime()
    print(f"{runtime}; {dataset.source}, {len(dataset.x_train):,} training images", flush=True)
    planned = planned_precision(Path(folder))
    precision = precision or planned or runtime.precision
    if planned == precision != runtime.precision:
        print(f"Going on in {planned}, as the run began; this device would choose another.")
    names = choose_devices(devices)
    if len(names) > 1:
        print(f"On {len(names)} devices: {', '.join(names)}", flush=True)

    def build():
        model = build_model(recipe, dataset.x_train, seed=seed, dtype=precision)
        return compile_model(model, recipe, len(dataset.x_train), on_gpu=runtime.on_gpu)

    options = {"seed": seed, "profile": profile, "say_time_left": True}
    options["report"] = lambda line: print(line, flush=True)
    with distributed(names):
        model = build()
        rows = fit(model, recipe, dataset, folder, **options)
    if len(names) > 1:  # what follows is done on one device
        trained, model = model, build()
        model.set_weights(trained.get_weights())
    record = record_run(
        model,
        rows,
        recipe,
        dataset,
        folder,
        profile=profile,
        seed=seed,
        validation=validation,
        keep_weights=keep_weights,
    )
    return model, record


def record_run(model, rows, recipe, dataset, folder, *, keep_weights=True, **fields):
    """Writes the record of a trained network; keeps its weights and draws its heatmaps.

    Args:
        model: the trained `keras.Model`.
        rows: history of `utils.training.fit.fit`, complete.
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset` it was trained and measured on.
        folder: path of the run; its name names the run.
        keep_weights: bool, False to leave only plan, starts, history and record.
        **fields: `profile`, `seed` and optionally `validation`, for
            `utils.records.write.make_record`.

    Returns:
        The record, a dict. Beside it stand `weights.npz`, `gradcam.png` and `first_look.png`; a
        training that has diverged has a record, too, but no heatmaps.

    Raises:
        ValueError: when the model does not give the accuracy at the end of the history.
    """
    folder = Path(folder).resolve()
    try:
        test, mirrored = evaluate_with_mirror(model, dataset.x_test, dataset.y_test)
    except DivergedError:  # nothing to compare, to average or to explain
        test = mirrored = None
    else:
        right, logged = test.correct.mean(), rows[-1]["val_accuracy"]
        # The two may differ by rounding in another batch size, never by more than a few images.
        if abs(right - logged) > max(0.005, 2 / len(test.labels)):
            raise ValueError(
                f"This model gets {right:.4f} of the test images right, but the history ends with "
                f"{logged:.4f}: it is not the one that was trained."
            )
    record = make_record(
        folder.name,
        rows,
        model,
        recipe,
        dataset,
        starts=read_starts(folder),
        weights=save_weights(model, folder / WEIGHTS_FILE) if keep_weights else None,
        flip_correct=int(mirrored.correct.sum()) if mirrored else None,
        **fields,
    )
    save_record(folder, record)
    if keep_weights and test:
        draw_heatmaps(model, dataset, test, folder)
    if not keep_weights:
        for checkpoint in checkpoints_of(folder):
            checkpoint.unlink()
    return record


def draw_heatmaps(model, dataset, predictions, folder):
    """Draws what shows where a network looked: this needs weights and images, not only a record.

    Args:
        model: the trained `keras.Model`.
        dataset: `utils.data.dataset.Dataset` whose test images are explained.
        predictions: `utils.training.evaluation.Predictions` of its test images.
        folder: `pathlib.Path` of the run, which gets the figures.
    """
    save_png(class_gallery(model, dataset, predictions), folder / HEATMAPS_FILE)
    save_png(first_look(model, dataset, predictions), folder / FIRST_LOOK_FILE)


def load_split(source, hold_out):
    """Loads a data set, and on request measures on a held-out part of its training set.

    Args:
        source: str, for `utils.data.sources.load_dataset`.
        hold_out: int, training images that take the place of the test images; 0 for none.

    Returns:
        (`utils.data.dataset.Dataset`, str that says what its test part is, for the record).

    Raises:
        ValueError, OSError: as `load_dataset` and `Dataset.hold_out`.
    """
    dataset = load_dataset(source)
    if not hold_out:
        return dataset, ON_TEST_SET
    held_out = dataset.hold_out(hold_out, seed=0)
    return held_out, f"{hold_out} images held out of the training set"


def main(arguments=None):
    """Parses the command line and runs the recipe; returns the exit status."""
    shared = ("--data", "--hold-out", "--precision")
    parser = command_parser("utils.commands.run_recipe", __doc__, *shared)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    help_text = "folder of the run; resumed if it exists"
    parser.add_argument("--output", required=True, type=path_argument, help=help_text)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=int, help="how many; default: all GPUs, or one CPU")
    for name, kind in OPTIONS.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind)
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    dataset, validation = load_split(args.data, args.hold_out)
    changes = {name: getattr(args, name) for name in OPTIONS}
    changes = {name: value for name, value in changes.items() if value is not None}
    recipe = dataclasses.replace(RECIPES[args.recipe], **changes)
    options = {name: getattr(args, name) for name in ("seed", "precision", "devices")}
    options["validation"] = validation
    _, record = run_recipe(recipe, dataset, args.output, profile="shell", **options)
    final = record["final"]
    print(f"final accuracy {final['accuracy']:.4f} on {final['images']:,} images: {validation}")


if __name__ == "__main__":
    sys.exit(main())
