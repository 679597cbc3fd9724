"""Figures of records: which there are, from what, and when they are out of date."""

import json
import shutil

import numpy as np
import pytest
from sample_records import write_record

from utils.figures.style import read_texts
from utils.records import drawings
from utils.records.read import ROOT, SUBMISSION, read_records
from utils.records.studies import read_study, write_study
from utils.training.lr_curve import RangeTestResult

FULL = {"full_result": True, "images": 10_000}


@pytest.fixture
def runs(tmp_path):
    """A folder of records with that of 2019."""
    shutil.copytree(ROOT / "runs" / SUBMISSION, tmp_path / "runs" / SUBMISSION)
    return tmp_path / "runs"


def sweep(path):
    rates = np.geomspace(1e-4, 10, 40)
    losses = (np.log10(rates) + 1) ** 2
    RangeTestResult(rates, losses, losses, 40, "completed: all.").save_csv(path)


def growing():
    def point(value, option, x):
        return {"options": {option: x}, "seconds": [3 * value, value, 2 * value], "peak_mb": 7 * x}

    return {
        f"{axis}-{x}": point(value, option, x)
        for axis, option in (("images", "count"), ("depth", "depth"), ("batch", "batch_size"))
        for value, x in ((1.0, 10), (2.0, 20))
    }


def names(runs):
    return [one.path.relative_to(runs).as_posix() for one in drawings.drawings(runs)]


def test_each_record_gives_its_figures(runs):
    assert names(runs) == []
    write_record(runs / "quick")
    assert names(runs) == []
    sweep(write_record(runs / "ours", **FULL) / "range_test.csv")
    write_record(runs / "painted", **FULL, **{"data.source": "painted shapes (synthetic)"})
    study = runs / "studies" / "letters"
    write_study(study, "Which letter?", {"a": "first"})
    write_record(study / "a-seed-0")
    assert names(runs) == ["headline.png", "ours/curves.png", "ours/range_test.png"]
    sweep(study / "range_test.csv")
    (runs / "benchmarks").mkdir()
    (runs / "benchmarks" / "growth.json").write_text("{}")
    assert names(runs)[3:] == ["studies/letters/peaks.png", "benchmarks/scaling.png"]


def test_a_figure_keeps_what_it_shows_and_what_it_was_drawn_from(runs):
    ours = write_record(runs / "ours", **FULL, **{"recipe.max_lr": 0.4})
    sweep(ours / "range_test.csv")
    found = drawings.drawings(runs)
    assert not any(one.is_up_to_date() for one in found)
    for one in found:
        one.draw()
    assert all(one.is_up_to_date() for one in found)
    headline, curves, test = (read_texts(one.path)["Description"] for one in found)
    assert "this repository, on a CPU 80.00 %; submission of 2019 90.24 %" in headline
    assert "2019-submission, 90.24 %" in curves and "recipe's peak 0.4" in test
    (ours / "history.csv").write_bytes((ours / "history.csv").read_bytes() + b"\n")
    assert [one.is_up_to_date() for one in found] == [False, False, True]
    found[2].path.write_bytes(found[2].path.read_bytes()[:100])  # torn
    assert not found[2].is_up_to_date()


def test_the_study_of_peaks_is_drawn_with_all_its_seeds(runs, monkeypatch):
    study = runs / "studies" / "peaks"
    write_study(study, "Peaks", {"low": "peak 0.1", "high": "peak 1"})
    for name, peak, accuracy in (("low-seed-0", 0.1, 0.5), ("high-seed-0", 1.0, 0.7)):
        write_record(study / name, accuracy=accuracy, **{"recipe.max_lr": peak})
    write_record(study / "high-seed-1", accuracy=0.6, **{"recipe.max_lr": 1.0, "seed": 1})
    sweep(study / "range_test.csv")
    drawn = []
    monkeypatch.setattr(drawings, "plot_peak_study", lambda *all: drawn.extend(all))
    drawings.peak_curve(study, read_study(study)).make()
    assert drawn[:2] == [[0.1, 1.0], [[0.5], [0.7, 0.6]]]


def test_the_study_of_schedules_is_drawn_with_all_its_seeds(runs, monkeypatch):
    study = runs / "studies" / "super-convergence"
    write_study(study, "Schedules", {"short": "1 epoch", "long": "3 epochs"})
    assert names(runs) == []  # begun, no run
    for seed in range(2):
        write_record(study / f"short-seed-{seed}", epochs=1, seed=seed)
    write_record(study / "long-seed-0", accuracy=0.7)
    [drawing] = drawings.drawings(runs)
    assert drawing.path == study / "curves.png"
    drawing.draw()
    assert drawing.is_up_to_date() and "Test accuracy" in read_texts(drawing.path)["Description"]
    monkeypatch.setattr(drawings, "plot_learning_curves", lambda *arguments: arguments)
    drawn = {"1 epoch": [[0.8], [0.8]], "3 epochs": [[0.4, 0.9, 0.7]]}
    assert drawing.make() == (drawn, "test")
    write_study(study, "Schedules", {"short": "one epoch", "long": "3 epochs"})
    assert not drawing.is_up_to_date(), "its legend has the labels"
    for path in study.glob("*/run.json"):
        path.write_text(path.read_text().replace("test set, for display only", "90 held out"))
    [drawing] = drawings.drawings(runs)
    assert drawing.make()[1] == "held-out"


def test_a_study_of_peaks_without_a_run_is_not_drawn(runs):
    study = runs / "studies" / "peaks"
    write_study(study, "Peaks", {"low": "peak 0.1"})
    sweep(study / "range_test.csv")
    assert names(runs) == []


def test_a_run_is_drawn_over_that_of_2019_and_the_reported_one_over_its_repetition(runs):
    write_record(runs / "ours", accuracy=0.93, **FULL)
    write_record(runs / "again", **FULL, **{"recipe.name": "seed-2019"})
    records = read_records(runs)
    behind = {one.name: drawings.curves(one, records).make().description for one in records[1:]}
    assert "2019-submission, 90.24 %; again, 80.00 %" in behind["ours"]
    assert "again" not in behind["again"]


def test_growth_has_median_and_range():
    panels = drawings.growth_panels({"variants": growing()})
    time = ([10, 20], [2.0, 4.0], [1.0, 2.0], [3.0, 6.0])
    memory = ([10, 20], [70, 140], [70, 140], [70, 140])
    assert [panel[2:] for panel in panels] == [time] * 3 + [memory] * 3
    assert [panel[0] for panel in panels] == ["images", "depth", "batch size"] * 2


def test_unknown_memory_is_left_out():
    points = growing()
    points["depth-20"]["peak_mb"] = None
    panels = drawings.growth_panels(json.loads(json.dumps({"variants": points})))
    assert [panel[1] for panel in panels] == ["seconds an epoch"] * 3 + ["peak memory (MB)"] * 2
