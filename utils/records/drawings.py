"""Figures that are drawn from records alone: no network, no image of the data set, no training.

Each file keeps a digest of what it was drawn from, so that a figure that no longer shows its
records is found, and an unchanged one is never written again. Pixels cannot tell: they differ from
one version of Matplotlib or of a font to the next.
"""

import functools
import hashlib
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from utils.figures.benchmarks import Panel, plot_scaling
from utils.figures.headline import plot_headline
from utils.figures.history import plot_history
from utils.figures.learning_curves import plot_learning_curves
from utils.figures.range_test import plot_peak_study, plot_range_test
from utils.figures.style import read_texts, save_png
from utils.records import compare
from utils.records.benchmarks import BENCHMARKS, GROWTH, GROWTH_FIGURE, read_benchmarks
from utils.records.choose import reported_record
from utils.records.read import (
    CURVES_FILE,
    FIRST_LOOK_FILE,
    HEADLINE_FILE,
    RANGE_FIGURE,
    RANGE_TEST_FILE,
    STUDIES,
    read_records,
)
from utils.records.studies import STUDY_FILE, SUPER_CONVERGENCE, read_studies
from utils.training.lr_curve import RangeTestResult

PEAKS_FILE = "peaks.png"  # in the folder of a study of peaks


class Drawing(NamedTuple):
    """A figure and what it is drawn from.

    Attributes:
        path: `pathlib.Path` of the PNG file.
        sources: `pathlib.Path`s of all files that decide what it shows.
        make: function without arguments that gives the `utils.figures.style.Figure`.
    """

    path: Path
    sources: list
    make: Callable

    def digest(self):
        """SHA-256 of names and contents of the sources, hexadecimal."""
        digest = hashlib.sha256()
        for source in self.sources:
            content = source.read_bytes()
            digest.update(f"{source.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def is_up_to_date(self):
        """Whether the file was drawn from the sources as they are."""
        return read_texts(self.path).get("Source") == self.digest()

    def draw(self):
        """Writes the file."""
        save_png(self.make(), self.path, Source=self.digest())


def drawings(runs):
    """All figures that the records of a folder give.

    Args:
        runs: path of `runs/`.

    Returns:
        List of `Drawing`.

    Raises:
        ValueError: when a record or a study is unsound.
    """
    runs = Path(runs)
    records = read_records(runs)
    found = [headline(records, runs / HEADLINE_FILE)] if _has_headline(records) else []
    for record in records:
        if record.is_full_run_of_ours and record.on_cifar10:
            found.append(curves(record, records))
        if (record.folder / RANGE_TEST_FILE).is_file():
            found.append(range_curve(record))
    for folder, study in read_studies(runs / STUDIES):
        if (folder / RANGE_TEST_FILE).is_file():
            found.append(peak_curve(folder, study))
        if folder.name == SUPER_CONVERGENCE:
            found.append(learning_curves(folder, study))
    if (runs / BENCHMARKS / f"{GROWTH}.json").is_file():
        found.append(growth(runs / BENCHMARKS))
    return found


def _has_headline(records):
    return bool(records) and reported_record(records).is_full_run_of_ours


def _sources(records):
    return [one.folder / name for one in records for name in ("run.json", "history.csv")]


def headline(records, path):
    """`Drawing` of the reported run over that of 2019, with its first look at the heatmaps."""
    reported, submission = reported_record(records), compare.submission_of_2019(records)
    repeated = compare.recipe_of_2019_repeated(records)
    devices = " then a ".join(one.split()[0] for one in reported.devices)  # "CPU (..., 2 cores)"
    copy = ", JPEG copy of the images" * reported.on_compressed_copy
    names = {f"this repository, on a {devices}{copy}": reported}
    names |= {"submission of 2019": submission} if submission else {}
    names |= {"its recipe, repeated here": repeated} if repeated else {}
    strip = reported.folder / FIRST_LOOK_FILE
    sources = _sources(names.values()) + ([strip] if strip.is_file() else [])

    def make():
        pixels = np.asarray(Image.open(strip).convert("RGB")) if strip.is_file() else None
        text = read_texts(strip).get("Description", "")
        accuracies = {
            name: [row["val_accuracy"] for row in record.history] for name, record in names.items()
        }
        return plot_headline(accuracies, pixels, text)

    return Drawing(path, sources, make)


def curves(record, records):
    """`Drawing` of accuracy and loss of a run, over the submission of 2019 and its repetition."""
    others = compare.behind(record, records)
    histories = {one.name: one.history for one in others}
    make = functools.partial(plot_history, record.history, histories)
    return Drawing(record.folder / CURVES_FILE, _sources([record, *others]), make)


def range_curve(record):
    """`Drawing` of a range test of a run's network, with the peak that the run had."""
    source = record.folder / RANGE_TEST_FILE

    def make():
        result = RangeTestResult.load_csv(source)
        peak = record.run["recipe"].get("max_lr")
        return plot_range_test(result, result.suggest(), result.peak().lr, peak)

    return Drawing(record.folder / RANGE_FIGURE, [source, record.folder / "run.json"], make)


def peak_curve(folder, study):
    """`Drawing` of a study of `utils.commands.peak_study`."""
    source = folder / RANGE_TEST_FILE
    records = [one for _, records in study.results for one in records]

    def make():
        result, accuracies = RangeTestResult.load_csv(source), {}
        for run in (record.run for record in records):
            accuracies.setdefault(run["recipe"]["max_lr"], []).append(run["final"]["accuracy"])
        suggestions, peak = result.suggest(), result.peak().lr
        return plot_peak_study(list(accuracies), list(accuracies.values()), suggestions, peak)

    return Drawing(folder / PEAKS_FILE, [source, *_sources(records)], make)


def learning_curves(folder, study):
    """`Drawing` of the accuracy of every epoch, of all runs of a study."""
    records = [one for _, records in study.results for one in records]

    def make():
        accuracies = {
            label: [[row["val_accuracy"] for row in one.history] for one in runs]
            for label, runs in study.results
        }
        return plot_learning_curves(accuracies, "test" if records[0].on_test_set else "held-out")

    return Drawing(folder / CURVES_FILE, [folder / STUDY_FILE, *_sources(records)], make)


def growth(folder):
    """`Drawing` of time and memory against images, depth and batch size."""
    source = folder / f"{GROWTH}.json"
    return Drawing(
        folder / GROWTH_FIGURE,
        [source],
        lambda: plot_scaling(growth_panels(read_benchmarks(folder)[GROWTH])),
    )


def growth_panels(record):
    """Panels of `utils.figures.benchmarks.plot_scaling` from the record of the benchmark `growth`.

    Args:
        record: dict, as `utils.records.benchmarks.read_benchmarks` reads it.

    Returns:
        List of `utils.figures.benchmarks.Panel`: seconds an epoch, then peak memory where it is
        known.
    """
    times, peaks = [], []
    axes = {"images": ("count", "images"), "depth": ("depth", "depth")}
    axes["batch"] = ("batch_size", "batch size")
    for axis, (option, label) in axes.items():
        points = [v for name, v in record["variants"].items() if name.startswith(f"{axis}-")]
        x = [point["options"][option] for point in points]
        seconds = [point["seconds"] for point in points]
        ranges = (list(map(f, seconds)) for f in (statistics.median, min, max))
        times.append(Panel(label, "seconds an epoch", x, *ranges))
        peak = [point["peak_mb"] for point in points]
        if None not in peak:  # Windows does not tell
            peaks.append(Panel(label, "peak memory (MB)", x, peak, peak, peak))
    return times + peaks
