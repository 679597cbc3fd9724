"""Writes the record of a run: `run.json` beside the `history.csv` of its training.

Every number that README and notebook show is read back from such a record.
"""

import dataclasses
from pathlib import Path

import keras

from utils.records.intervals import wilson_interval
from utils.settings import RECIPES
from utils.training.run_folder import write_json

ON_TEST_SET = "test set, for display only"


def run_name(profile, dataset, runtime):
    """Names a run of the notebook after what sets it apart: profile, data, backend, device."""
    data = "cifar10" if dataset.is_cifar10 else "shapes"
    return f"{profile}-{data}-{runtime.backend}-{runtime.device.split()[0].lower()}"


def is_full_result(recipe, dataset):
    """Whether a run is the one that the repository reports: an unchanged recipe, all of CIFAR-10.

    Args:
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset` it was trained and measured on.
    """
    return (
        recipe == RECIPES.get(recipe.name)
        and dataset.is_cifar10
        and (len(dataset.x_train), len(dataset.x_test)) == (50_000, 10_000)
    )


def make_record(
    name,
    rows,
    model,
    recipe,
    dataset,
    *,
    profile,
    seed,
    starts,
    validation=ON_TEST_SET,
    weights=None,
    flip_correct=None,
):
    """Collects what a reader needs to judge a run and to repeat it.

    Args:
        name: str, the name of the run and of its folder under `runs/`.
        rows: history of `utils.training.fit.fit`, complete.
        model: the trained `keras.Model`.
        recipe: `utils.settings.Recipe`.
        dataset: `utils.data.dataset.Dataset` it was trained and evaluated on.
        profile: str, under which settings this program runs: `"full"`, `"quick"` or `"smoke"` in
            the notebook, `"shell"` or `"study"` for a command. Where the last start names its own
            profile, that one is recorded: a notebook that loads a complete run of the very same
            recipe records it as the shell's, which trained it.
        seed: int.
        starts: list of dicts from `utils.training.run_folder.read_starts`, at least one.
        validation: str, what the val columns were measured on.
        weights: dict from `utils.records.weights.save_weights`, or None when they are not kept.
        flip_correct: int, right answers when the logits of an image and of its mirror image are
            added, or None when that was not counted. Never the reported accuracy.

    Returns:
        A dict of plain values, see `run_schema.json`.

    Raises:
        ValueError: when the history does not have all the epochs of the recipe.
    """
    if [row["epoch"] for row in rows] != list(range(1, recipe.epochs + 1)):
        raise ValueError(
            f"The history has {len(rows)} epochs and the recipe {recipe.epochs}; only a complete "
            f"run has a record. Resume it with utils.training.fit.fit."
        )
    origin = _origin(starts)
    record = {
        "name": name,
        "profile": starts[-1].get("profile", profile),
        "full_result": is_full_result(recipe, dataset),
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "data": _data(dataset, validation),
        **origin,
        "backend": keras.backend.backend(),
        "precision": model.get_layer("stem_conv").dtype_policy.name,
        "parameters": model.count_params(),
        **_outcome(rows, len(dataset.x_test)),
    }
    if flip_correct is not None:
        accuracy = flip_correct / len(dataset.x_test)
        record["flip_averaged"] = {"correct": flip_correct, "accuracy": accuracy}
    return record if weights is None else record | {"weights": weights}


def _data(dataset, validation):
    return {
        "source": dataset.source,
        "content_hash": dataset.content_hash,
        "train_images": len(dataset.x_train),
        "test_images": len(dataset.x_test),
        "validation": validation,
    }


def _origin(starts):
    """Device, versions and commit of the last start: what trained, which may not be what writes
    the record. All starts are listed, too."""
    if not starts:
        raise ValueError(
            "The run has no starts.json, which utils.training.fit.fit writes; train anew."
        )
    last = starts[-1]
    return {
        "device": last["device"],
        "versions": last["versions"],
        "git_commit": last["git_commit"],
        "compile_seconds": round(sum(start["compile_seconds"] for start in starts), 2),
        "starts": starts,
    }


def _outcome(rows, images):
    """The final accuracy is that of the last epoch; the best epoch is kept for comparison only,
    because choosing it would be choosing on the test set."""
    last, best = rows[-1], max(rows, key=lambda row: row["val_accuracy"])
    correct = round(last["val_accuracy"] * images)
    return {
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "final": {
            "accuracy": last["val_accuracy"],
            "loss": last["val_loss"],
            "correct": correct,
            "images": images,
            "ci95": [round(bound, 4) for bound in wilson_interval(correct, images)],
        },
        "best_epoch": {"epoch": best["epoch"], "accuracy": best["val_accuracy"]},
    }


def summary(record):
    """Three lines that state a result together with what produced it.

    Args:
        record: dict from `make_record`.

    Returns:
        str.
    """
    final, (low, high) = record["final"], record["final"]["ci95"]
    right = f"{final['correct']:,} of {final['images']:,} test images right"
    return (
        f"{right}: {final['accuracy']:.2%}, 95 % interval {low:.1%} to {high:.1%}\n"
        f"{record['profile']} profile; {record['data']['source']}\n"
        f"{record['seconds'] / 60:.1f} minutes with {record['backend']}, {record['device']}, "
        f"{record['precision']}"
    )


def save_record(folder, record):
    """Writes `run.json`, all or nothing.

    Args:
        folder: path of an existing folder that holds the run's `history.csv`.
        record: dict from `make_record`.
    """
    write_json(Path(folder) / "run.json", record)
