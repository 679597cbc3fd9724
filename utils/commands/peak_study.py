"""What is the range test's suggestion worth? Training with peaks around it, several seeds each.

`python -m utils.commands.peak_study --data <folder>` holds 5,000 images out of the training set,
runs one range test, trains a small ResNet with one-cycle for peaks from a tenth to ten times the
proposed one, and draws the held-out accuracy against the peak. Interrupted, the same command goes
on. The test images are not touched.
"""

import dataclasses
import sys

from utils.commands.arguments import command_parser, exit_status
from utils.commands.run_recipe import load_split
from utils.commands.studies import Entry, run_study, study_precision
from utils.data.batches import Batches
from utils.location import path_argument
from utils.records.drawings import peak_curve
from utils.records.read import RANGE_TEST_FILE
from utils.records.studies import read_study
from utils.records.study_tables import study_table
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.lr_curve import RangeTestResult
from utils.training.range_test import range_test
from utils.training.recipe_model import build_model, compile_model
from utils.training.run_folder import check_plan

SWEEP_STEPS = 100
FACTORS = (0.1, 10**-0.5, 1.0, 10**0.5, 10.0)


def sweep(recipe, dataset, path, precision):
    """The range test of a study: loaded from its file, or run and saved there.

    Args:
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset`.
        path: `pathlib.Path` of the CSV file.
        precision: Keras dtype policy.

    Returns:
        `utils.training.lr_curve.RangeTestResult`.

    Raises:
        ValueError: when the file's folder belongs to another recipe, data set, length or
            precision.
    """
    plan = {"recipe": dataclasses.asdict(recipe), "content_hash": dataset.content_hash}
    plan |= {"num_steps": SWEEP_STEPS, "seed": 0, "precision": precision}
    path.parent.mkdir(parents=True, exist_ok=True)
    check_plan(path.parent, plan)
    if not path.exists():
        model = build_model(recipe, dataset.x_train, seed=0, dtype=precision)
        compile_model(model, recipe, len(dataset.x_train), on_gpu=describe_runtime().on_gpu)
        batches = Batches(dataset.x_train, dataset.y_train, recipe.batch_size, seed=0)
        range_test(model, batches, num_steps=SWEEP_STEPS).save_csv(path)
    return RangeTestResult.load_csv(path)


def entries_around(peak, recipe):
    """One entry for each factor; the peak is rounded to three digits, as it is printed."""
    peaks = [float(f"{factor * peak:.3g}") for factor in FACTORS]
    return [
        Entry(f"peak-{value:g}", f"peak {value:g}", dataclasses.replace(recipe, max_lr=value))
        for value in peaks
    ]


def main(arguments=None):
    """Parses the command line, runs the study, prints its table; returns the exit status."""
    shared = ("--data", "--seeds", "--hold-out", "--precision")
    parser = command_parser("utils.commands.peak_study", __doc__, *shared)
    parser.set_defaults(hold_out=5_000)
    parser.add_argument(
        "--output", default="build/peaks", type=path_argument, help="folder of the study"
    )
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--train-images", type=int, default=20_000)
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    recipe = dataclasses.replace(
        RECIPES["one-cycle"],
        depth=args.depth,
        epochs=args.epochs,
        batch_size=args.batch_size,
        erase_probability=0.0,  # made for long trainings
    )
    if args.hold_out < 1:
        raise ValueError(
            f"--hold-out must be at least 1, got {args.hold_out}: a peak is not chosen on the test "
            f"images."
        )
    folder = args.output
    dataset, validation = load_split(args.data, args.hold_out)
    dataset = dataset.subset(args.train_images, args.hold_out, seed=0)
    precision = args.precision or study_precision(folder)
    result = sweep(recipe, dataset, folder / RANGE_TEST_FILE, precision)
    peak = result.peak()
    print(f"proposed peak {peak.lr:.3g}: {peak.reason} {result.doubt()}", flush=True)
    entries = entries_around(peak.lr, recipe)
    title = f"Peaks around the one that a range test proposes, {peak.lr:.3g}"
    options = {"validation": validation, "precision": precision}
    run_study(title, entries, dataset, folder, range(args.seeds), **options)
    study = read_study(folder)
    peak_curve(folder, study).draw()
    print(study_table(study))


if __name__ == "__main__":
    sys.exit(main())
