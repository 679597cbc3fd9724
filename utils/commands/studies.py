"""Comparisons that answer a question with several runs each: what is every fix worth?

`python -m utils.commands.studies fixes --hold-out 5000` trains each recipe with each seed, one
record a run, and prints the table. Interrupted, the same command goes on; runs that are done are
not repeated.
"""

import dataclasses
import sys
from pathlib import Path
from typing import NamedTuple

import keras

from utils.commands.arguments import command_parser, exit_status
from utils.commands.run_recipe import load_split, run_recipe
from utils.location import path_argument
from utils.records.read import read_record
from utils.records.studies import read_study, write_study
from utils.records.study_tables import study_table
from utils.runtime import describe_runtime
from utils.settings import RECIPES
from utils.training.run_folder import as_json, planned_precision


class Entry(NamedTuple):
    """One line of a study."""

    name: str  # names the folder of its runs
    label: str  # says what is compared
    recipe: object  # utils.settings.Recipe


# From the recipe of 2019 to ours, one change at a time.
FIXES = (
    ("eraser", "eraser fills with the mean color", {"erase_fill": (0.0, 0.0)}),
    ("batch-norm", "batch-norm momentum 0.99 to 0.9", {"bn_momentum": 0.9}),
    (
        "schedule",
        "a learning rate a step, falling to nearly zero",
        {"schedule": "one_cycle", "max_lr": 1.0},
    ),
    ("momentum", "momentum cycles 0.95 to 0.85", {"base_momentum": 0.85}),
    ("peak", "peak 1.0 to 0.4", {"max_lr": 0.4}),
    ("normalization", "each channel to mean 0, deviation 1", {"normalization": "channel"}),
    ("l2", "L2 penalty 1e-4 to 1.5e-4", {"l2": 1.5e-4}),
    ("smoothing", "label smoothing 0.1", {"label_smoothing": 0.1}),
    ("shift", "shift by up to 4 pixels, was 3", {"shift": 4}),
    (
        "erasing",
        "erase a quarter of the images, was half; smaller areas",
        {"erase_probability": 0.25, "erase_area": (0.02, 0.25)},
    ),
)


def fixes():
    """The recipe of 2019, then fix after fix added to it; at last the settings of `one-cycle`."""
    recipe = RECIPES["seed-2019"]
    entries = [Entry("00-seed-2019", "the recipe of 2019", recipe)]
    for number, (name, label, changes) in enumerate(FIXES, start=1):
        recipe = dataclasses.replace(recipe, **changes)
        entries.append(Entry(f"{number:02d}-{name}", "+ " + label, recipe))
    return entries


def super_convergence():
    """One-cycle in 50 epochs against the recipe of 2019, and steps in 50 and in 200 epochs."""
    classic = RECIPES["step-decay"]
    return [
        Entry("seed-2019-50", "recipe of 2019, 50 epochs", RECIPES["seed-2019"]),
        Entry("step-decay-50", "step decay, 50 epochs", classic),
        Entry("one-cycle-50", "one-cycle, 50 epochs", RECIPES["one-cycle"]),
        Entry("step-decay-200", "step decay, 200 epochs", dataclasses.replace(classic, epochs=200)),
    ]


def length():
    """One-cycle in 10 to 50 epochs: the least time in which an accuracy is reached."""
    recipe = RECIPES["one-cycle"]
    return [
        Entry(f"epochs-{n}", f"{n} epochs", dataclasses.replace(recipe, epochs=n))
        for n in (10, 15, 20, 25, 30, 40, 50)
    ]


def decay():
    """How strong the L2 penalty should be, on a small network and a short cycle.

    What should carry over to a run of another length is how often the weights forget their past,
    `utils.training.recipe_schedule.decay_e_foldings` (Wang and Aitchison 2024, https://arxiv.org/abs/2405.13698,
    find it for AdamW when model and data grow), so a fifth of the epochs takes five times the
    penalty. Batches of a quarter keep the number of steps near that of the full recipe; a quarter
    of its learning rate goes with them.
    """
    small = dataclasses.replace(
        RECIPES["one-cycle"], depth=20, epochs=10, batch_size=128, max_lr=0.1
    )
    return [
        Entry(f"l2-{l2:g}", f"L2 penalty {l2:g}", dataclasses.replace(small, l2=l2))
        for l2 in (2.5e-3, 1e-3, 4e-4)
    ]


STUDIES = {
    "decay": ("How strong the L2 penalty should be", decay),
    "fixes": ("What each fix is worth, one after the other", fixes),
    "super-convergence": ("Super-convergence", super_convergence),
    "length": ("One-cycle of different lengths", length),
}


def run_study(title, entries, dataset, folder, seeds, *, validation, changes=None, precision=None):
    """Trains every entry of a study with every seed.

    Args:
        title: str, heads the table.
        entries: list of `Entry`.
        dataset: `utils.data.dataset.Dataset`.
        folder: path of the study; each run gets a folder in it.
        seeds: ints.
        validation: str, what the test part of `dataset` is.
        changes: dict of recipe fields to change in all entries, to rehearse in small.
        precision: Keras dtype policy, by default as `study_precision`.

    Raises:
        ValueError: when the folder holds another study, or a finished run with another recipe,
            seed, precision, backend or other images; before anything is trained.
    """
    precision = precision or study_precision(folder)
    same = {"precision": precision, "backend": keras.backend.backend()}
    same |= {"content_hash": dataset.content_hash, "validation": validation}
    runs = []
    for seed in seeds:  # the seeds outside: after the first, every entry has one run
        for entry in entries:
            target = Path(folder) / f"{entry.name}-seed-{seed}"
            recipe = dataclasses.replace(entry.recipe, **(changes or {}))
            if (target / "run.json").exists():
                _check_same(target, recipe, {"seed": seed, **same})
            else:
                runs.append((target, entry.label, recipe, seed))
    write_study(folder, title, {entry.name: entry.label for entry in entries})
    for target, label, recipe, seed in runs:
        print(f"{target.name}: {label}", flush=True)
        run_recipe(
            recipe,
            dataset,
            target,
            profile="study",
            seed=seed,
            validation=validation,
            precision=precision,
            keep_weights=False,
        )


def study_precision(folder):
    """Keras dtype policy of the study begun in `folder`, else the device's own.

    All runs of a study have one, also those that another machine adds.
    """
    folder = Path(folder)
    parts = (folder, *sorted(folder.glob("*-seed-*")))  # the folder's own plan is of a range test
    begun = filter(None, map(planned_precision, parts))
    return next(begun, None) or describe_runtime().precision


def _check_same(folder, recipe, settings):
    """Refuses a finished run with other settings, of a rehearsal for example."""
    found = read_record(folder).run
    wanted = as_json(dataclasses.asdict(recipe)) | settings
    found = found | found["data"] | found["recipe"]  # the name is that of the recipe
    off = {key: (found.get(key), value) for key, value in wanted.items() if found.get(key) != value}
    if off:
        raise ValueError(
            f"{folder} holds a finished run with other settings (there, wanted): {off}. Give the "
            f"options of that run, such as --precision, choose another --output, or remove that "
            f"folder."
        )


def main(arguments=None):
    """Parses the command line, runs the study and prints its table; returns the exit status."""
    shared = ("--data", "--seeds", "--hold-out", "--precision")
    parser = command_parser("utils.commands.studies", __doc__, *shared)
    parser.add_argument("study", choices=sorted(STUDIES))
    help_text = "folder of the study, by default build/<study>"
    parser.add_argument("--output", type=path_argument, help=help_text)
    parser.add_argument("--depth", type=int, help="of every network, to rehearse in small")
    parser.add_argument("--epochs", type=int, help="of every run, to rehearse in small")
    args = parser.parse_args(arguments)
    return exit_status(lambda: _run(args))


def _run(args):
    if args.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {args.seeds}.")
    dataset, validation = load_split(args.data, args.hold_out)
    changes = {key: getattr(args, key) for key in ("depth", "epochs")}
    changes = {key: value for key, value in changes.items() if value is not None}
    title, make_entries = STUDIES[args.study]
    folder = args.output or f"build/{args.study}"
    options = {"validation": validation, "changes": changes, "precision": args.precision}
    run_study(title, make_entries(), dataset, folder, range(args.seeds), **options)
    print(study_table(read_study(folder)))


if __name__ == "__main__":
    sys.exit(main())
