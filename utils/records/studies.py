"""Reads a study, a folder with the records of several runs that answer one question.

`utils.commands.studies` and `utils.commands.peak_study` write it: `study.json` says what is compared, and each run
has its record in a folder of its own, named after entry and seed.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

from utils.records.read import REDO, mean_and_deviation, read_record
from utils.training.run_folder import write_json

STUDY_FILE = "study.json"


class Study(NamedTuple):
    """What has been found so far.

    Attributes:
        title: str.
        results: list of (label, records) in the order of the study, without the entries that have
            no run yet.
    """

    title: str
    results: list


def write_study(folder, title, labels):
    """Notes what a study compares, in `study.json`.

    Args:
        folder: path of the study, created when missing.
        title: str.
        labels: dict of the name of each entry, which begins the names of its runs, to what it is.

    Raises:
        ValueError: when the folder holds another study.
    """
    path = Path(folder) / STUDY_FILE
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))["title"]
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
        ValueError: when a record is unsound, two runs of an entry had different settings, or two
            runs of the study were measured on different images.
    """
    path = Path(folder) / STUDY_FILE
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        title, entries = str(plan["title"]), dict(plan["entries"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is no plan of a study ({error!r}); {REDO}.") from None
    found, measured = [], {}
    for name, label in entries.items():
        paths = sorted(Path(folder).glob(f"{name}-seed-*/run.json"))
        records = [read_record(path.parent) for path in paths]
        for record in records:
            data = record.run["data"]
            measured.setdefault((data["content_hash"], data["validation"]), record.name)
        settings = {json.dumps([one.run["recipe"], one.run["precision"]]) for one in records}
        if len(settings) > 1:
            raise ValueError(
                f"{folder}: the runs of {name} had different recipes or precisions, so they have "
                f"no mean: {sorted(settings)}; repeat those that are off."
            )
        if records:
            found.append((label, records))
    if len(measured) > 1:
        raise ValueError(
            f"{folder}: the runs {', '.join(measured.values())} were measured on different images, "
            f"so they cannot be compared; repeat those that are off."
        )
    return Study(title, found)


def study_table(study):
    """Markdown table of a study: mean and spread over seeds, and the change from line to line.

    Args:
        study: `Study` with at least one run.

    Returns:
        str.
    """
    lines = [
        "| what | runs | final accuracy, mean ± deviation | change from the line above "
        "| minutes a run |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    before = None
    for label, records in study.results:
        mean, deviation = mean_and_deviation(
            [record.run["final"]["accuracy"] for record in records]
        )
        spread = "" if math.isnan(deviation) else f" ± {100 * deviation:.2f}"
        change = "" if before is None else f"{100 * (mean - before):+.2f}"
        minutes = mean_and_deviation([record.run["seconds"] / 60 for record in records])[0]
        lines.append(
            f"| {label} | {len(records)} | {100 * mean:.2f}{spread} % | {change} | {minutes:.1f} |"
        )
        before = mean
    runs = [record for _, records in study.results for record in records]
    data = runs[0].run["data"]
    models = _distinct(one.model for one in runs)
    epochs = _distinct(one.run["recipe"]["epochs"] for one in runs)
    batch_sizes = _distinct(one.run["recipe"]["batch_size"] for one in runs)
    places = {f"{one.run['backend']}, {device}" for one in runs for device in one.devices}
    lines += [
        "",
        f"{models}, {epochs} epochs, batches of {batch_sizes}; last epoch of every run, measured "
        f"on {data['validation']}; {data['source']}; {'; '.join(sorted(places))}.",
    ]
    return "\n".join(lines)


def _distinct(values):
    """The different ones among some values, as text: `"50 and 200"`."""
    return " and ".join(map(str, sorted(set(values))))
