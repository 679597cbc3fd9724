"""Reads a study, a folder with the records of several runs that answer one question.

`study.json` says what is compared. Either it has `entries`: `utils.commands.studies` and
`utils.commands.peak_study` write it, each run has its record in a folder of its own, named after
entry and seed, and all were measured on the same images. Or it has `runs`: the paths of a few
records, seen from the study, whose networks were measured on several test sets by
`utils.commands.measure`; such a file is written by hand.
"""

import json
from pathlib import Path
from typing import NamedTuple

from utils.records.read import read_record
from utils.training.epoch_log import REDO
from utils.training.run_folder import write_json

STUDY_FILE = "study.json"
SUPER_CONVERGENCE = "super-convergence"  # folder of the study of schedules


class Study(NamedTuple):
    """What has been found so far.

    Attributes:
        title: str.
        results: list of (label, records) in the order of the study, without the entries that have
            no run yet. The records of a label differ in the seed alone.
        of_test_sets: bool, whether the question is what each run gives on several test sets.
        adds_up: bool, whether a label that begins with "+ " adds a change to the entry before,
            which has runs, too.
    """

    title: str
    results: list
    of_test_sets: bool
    adds_up: bool


def write_study(folder, title, labels):
    """Notes what a study compares, in `study.json`.

    Args:
        folder: path of the study, created when missing.
        title: str.
        labels: dict of the name of each entry, which begins the names of its runs, to what it is.

    Raises:
        ValueError: when the folder holds another study, or a damaged plan of one.
    """
    path = Path(folder) / STUDY_FILE
    if path.exists():
        found = _read_plan(path)[0]
        if found != title:
            raise ValueError(
                f"{folder} holds the study {found!r}, now {title!r}; choose another --output."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"title": title, "entries": labels})


def read_study(folder):
    """Reads a study and the records of its runs.

    Args:
        folder: path of the study.

    Returns:
        `Study`.

    Raises:
        FileNotFoundError: when the folder has no `study.json`.
        ValueError: when a record is unsound. In a study with `entries`: when two runs of an entry
            had different settings or the same seed, or two runs of the study were measured on
            different images. In one with `runs`: when a run was not measured on a test set.
    """
    folder = Path(folder)
    title, parts = _read_plan(folder / STUDY_FILE)
    of_test_sets = isinstance(parts, list)
    if of_test_sets:
        return Study(title, _read_runs(folder, parts), of_test_sets=True, adds_up=False)
    results = _read_entries(folder, parts)
    labels = list(parts.values())
    no_gap = [label for label, _ in results] == labels[: len(results)]
    adds_up = no_gap and any(label.startswith("+ ") for label in labels)
    return Study(title, results, of_test_sets=False, adds_up=adds_up)


def read_studies(folder):
    """Reads every study that has a run.

    Args:
        folder: path that holds the studies.

    Returns:
        List of (folder of the study, `Study`), by name.

    Raises:
        ValueError: as `read_study`.
    """
    paths = sorted(path.parent for path in Path(folder).glob(f"*/{STUDY_FILE}"))
    return [(path, study) for path in paths if (study := read_study(path)).results]


def _read_plan(path):
    """(title, dict of entries or list of runs) of a study."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        return str(plan["title"]), list(plan["runs"]) if "runs" in plan else dict(plan["entries"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is no plan of a study ({error!r}); {REDO}.") from None


def _read_entries(folder, entries):
    found, measured = [], {}
    for name, label in entries.items():
        paths = sorted(folder.glob(f"{name}-seed-*/run.json"))
        records = [read_record(path.parent) for path in paths]
        for record in records:
            data = record.run["data"]
            measured.setdefault((data["content_hash"], data["validation"]), record.name)
        same = ("recipe", "precision", "backend")
        settings = {json.dumps([one.run[key] for key in same]) for one in records}
        if len(settings) > 1:
            raise ValueError(
                f"{folder}: the runs of {name} had different recipes, precisions or backends, so "
                f"they have no mean: {sorted(settings)}; repeat those that are off."
            )
        seeds = [one.run["seed"] for one in records]
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                f"{folder}: two runs of {name} had the same seed, of {sorted(seeds)}; remove one."
            )
        if records:
            found.append((label, records))
    if len(measured) > 1:
        raise ValueError(
            f"{folder}: the runs {', '.join(measured.values())} were measured on different images, "
            f"so they cannot be compared; repeat those that are off."
        )
    return found


def _read_runs(folder, runs):
    found = []
    for path in runs:
        if not (folder / path / "run.json").is_file():  # not finished yet
            continue
        record = read_record(folder / path)
        if not record.on_test_set:
            raise ValueError(
                f"{folder}: the run {path} was measured on {record.run['data']['validation']}; a "
                f"study of test sets takes runs that were measured on one."
            )
        found.append((f"trained on {record.run['data']['source']}", [record]))
    return found
