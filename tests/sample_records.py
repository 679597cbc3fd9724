"""Writes records as a test needs them: sound, or changed in one place."""

import csv
import json

from utils.records.intervals import wilson_interval
from utils.training.epoch_log import CSV_FIELDS


def write_record(folder, *, epochs=3, images=1000, accuracy=0.8, **changes):
    """Writes a sound record, then applies changes such as {"final.accuracy": 0.5}.

    The accuracies of the epochs are 0.4, in the last but one 0.9 and, at the end, `accuracy`.
    """
    folder.mkdir(parents=True)
    accuracies = ([0.4] * epochs + [0.9, accuracy])[-epochs:]
    history = [
        {name: 0.5 for name in CSV_FIELDS}
        | {"epoch": n, "val_accuracy": value, "val_loss": 1 / n, "seconds": 60.0}
        for n, value in zip(range(1, epochs + 1), accuracies, strict=True)
    ]
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, CSV_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    correct = round(accuracy * images)
    run = {
        "name": folder.name,
        "profile": "quick",
        "full_result": False,
        "recipe": {"name": "one-cycle", "depth": 20, "epochs": epochs}
        | {"batch_size": 32, "schedule": "one_cycle"},
        "seed": 0,
        "data": {
            "source": "CIFAR-10, image folder (PNG)",
            "content_hash": "0" * 64,
            "train_images": 2000,
            "test_images": images,
            "validation": "test set, for display only",
        },
        "versions": {"keras": "3.10.0"},
        "backend": "jax",
        "device": "CPU (test, 2 cores)",
        "precision": "float32",
        "parameters": 573738,
        "seconds": 60.0 * epochs,
        "compile_seconds": 12.5,
        "starts": [{"epoch": 1, "compile_seconds": 12.5, "device": "CPU (test, 2 cores)"}],
        "final": {
            "accuracy": accuracy,
            "loss": 1 / epochs,
            "correct": correct,
            "images": images,
            "ci95": list(wilson_interval(correct, images)),
        },
        "best_epoch": {
            "epoch": 1 + accuracies.index(max(accuracies)),
            "accuracy": max(accuracies),
        },
        "git_commit": "0" * 40,
    }
    for field, value in changes.items():
        *path, last = field.split(".")
        place = run
        for key in path:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    (folder / "run.json").write_text(json.dumps(run))
    return folder
