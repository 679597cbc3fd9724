"""What several records say together: plain numbers, which `utils.records.texts` puts into words."""

import json
import statistics
from typing import NamedTuple

from utils.records.choose import reported_record
from utils.records.intervals import difference_interval
from utils.records.read import SUBMISSION


class Place(NamedTuple):
    """What runs must share, beside recipe and images, to differ in the seed alone.

    Attributes:
        devices: list of str, what a run was trained on, one after the other.
        backend, precision: str, `"jax"` and `"float32"` for example.
    """

    devices: list
    backend: str
    precision: str


class Seeds(NamedTuple):
    """Full runs that differ in nothing but the seed.

    Attributes:
        label: str, what they are.
        seeds: ints, ascending.
        accuracies: final ones, 0..1, in the order of the seeds.
        seconds: median duration of a run.
        place: `Place` of each run.
    """

    label: str
    seeds: list
    accuracies: list
    seconds: float
    place: Place

    @property
    def mean(self):
        """Mean accuracy."""
        return statistics.fmean(self.accuracies)

    @property
    def single(self):
        """Whether there is one seed only."""
        return len(self.seeds) == 1


class Difference(NamedTuple):
    """How far two accuracies lie apart.

    Attributes:
        value: float, the first less the second, -1..1.
        low, high: floats, 95 % interval, see `utils.records.intervals.difference_interval`.
    """

    value: float
    low: float
    high: float


def submission_of_2019(records):
    """The record of 2019 among some, or None."""
    return next((record for record in records if record.name == SUBMISSION), None)


def _place(record):
    return Place(record.devices, record.run["backend"], record.run["precision"])


def seeds_of_full_runs(records):
    """The full runs of this repository, grouped by recipe, data and `Place`.

    Args:
        records: list of `utils.records.read.Record`.

    Returns:
        List of `Seeds`, in the order of the records.
    """
    groups = {}
    for record in records:
        if record.is_full_run_of_ours:
            same = [record.run["recipe"], record.run["data"]["content_hash"], _place(record)]
            groups.setdefault(json.dumps(same), []).append(record)
    for group in groups.values():
        group.sort(key=lambda one: one.run["seed"])
    return [
        Seeds(
            group[0].label,
            [one.run["seed"] for one in group],
            [one.run["final"]["accuracy"] for one in group],
            statistics.median(one.run["seconds"] for one in group),
            _place(group[0]),
        )
        for group in groups.values()
    ]


def more_seeds(record, studies, place=None):
    """How the recipe of a full run did with other seeds, in the runs of studies.

    Args:
        record: `utils.records.read.Record` or None.
        studies: list of `utils.records.studies.Study`.
        place: the `Place` to look for; None for any.

    Returns:
        `Seeds` of the largest group of runs with the very recipe and images of `record`; None
        where there are no two, or `record` is no full run.
    """
    if record is None or not record.is_full_run_of_ours:
        return None
    wanted = (record.run["recipe"], record.run["data"]["content_hash"])
    runs = [
        one
        for study in studies
        if not study.of_test_sets  # those are the runs themselves
        for _, records in study.results
        for one in records
        if (one.run["recipe"], one.run["data"]["content_hash"]) == wanted
    ]
    alike = {}
    for one in runs:  # two studies may have trained the same: one run counts
        alike.setdefault(json.dumps([one.run["seed"], _place(one)]), one)
    groups = [
        group
        for group in seeds_of_full_runs(alike.values())
        if not group.single and place in (None, group.place)
    ]
    return max(groups, key=lambda group: len(group.seeds), default=None)


def difference(first, second):
    """`Difference` of two results, dicts with `correct` and `images` such as a record's `final`."""
    counts = [(one["correct"], one["images"]) for one in (first, second)]
    (correct1, images1), (correct2, images2) = counts
    return Difference(correct1 / images1 - correct2 / images2, *difference_interval(*counts))


def recipe_of_2019_repeated(records):
    """The full run of the recipe of 2019 to hold the reported run against.

    Args:
        records: list of `utils.records.read.Record`.

    Returns:
        `Record` of `seed-2019` on the very images of the reported run; of several one with the
        same precision, backend and seed, in this order. None where there is none, or no full
        reported run.
    """
    reported = reported_record(records)
    repeated = [
        record
        for record in records
        if record.run["recipe"]["name"] == "seed-2019"
        and record.is_full_run_of_ours
        and record.on_test_set
        and record.run["data"]["content_hash"] == reported.run["data"]["content_hash"]
    ]
    if not repeated or not reported.is_full_run_of_ours:
        return None
    alike = ("precision", "backend", "seed")
    return max(repeated, key=lambda one: [one.run[key] == reported.run[key] for key in alike])


def behind(record, records):
    """The runs to draw a full run over: that of 2019 and, for the reported run, its repetition.

    Args:
        record: `utils.records.read.Record`, a full run of ours.
        records: list of `Record`.

    Returns:
        List of at most 2 `Record`.
    """
    others = [submission_of_2019(records)]
    if record == reported_record(records):
        others.append(recipe_of_2019_repeated(records))
    return [one for one in others if one]


def overtaking(record, accuracy):
    """When a run was above an accuracy for the first time.

    Args:
        record: `utils.records.read.Record`.
        accuracy: float, 0..1.

    Returns:
        (epoch, seconds of training up to its end), or None if it never was.
    """
    seconds = 0.0
    for row in record.history:
        seconds += row["seconds"]
        if row["val_accuracy"] > accuracy:
            return row["epoch"], seconds
    return None
