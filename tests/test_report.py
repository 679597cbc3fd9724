"""Run records: reading, refusing, and rendering."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from utils import report
from utils.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row
from utils.report import Record, read_history, read_record, read_records, wilson_interval

ROOT = Path(__file__).resolve().parent.parent
SUBMISSION = ROOT / "runs" / report.SUBMISSION


def write_record(folder, *, epochs=3, images=1000, **changes):
    """Writes a sound record, then applies changes such as {"final.accuracy": 0.5}."""
    folder.mkdir(parents=True)
    history = [
        {name: 0.5 for name in CSV_FIELDS}
        | {"epoch": n, "val_accuracy": accuracy, "val_loss": 1 / n, "seconds": 60.0}
        for n, accuracy in zip(range(1, epochs + 1), [0.4, 0.9, 0.8][-epochs:], strict=True)
    ]
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, CSV_FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
    correct = round(0.8 * images)
    run = {
        "name": folder.name,
        "profile": "quick",
        "full_result": False,
        "recipe": {"name": "one-cycle, short", "depth": 20, "epochs": epochs}
        | {"schedule": "one_cycle"},
        "seed": 0,
        "data": {
            "source": "CIFAR-10, official archive",
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
        "final": {
            "accuracy": 0.8,
            "loss": 1 / epochs,
            "correct": correct,
            "images": images,
            "ci95": list(wilson_interval(correct, images)),
        },
        "best_epoch": {"epoch": max(1, epochs - 1), "accuracy": 0.9},
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


@pytest.mark.parametrize(
    "correct, total", [(9024, 10000), (0, 10), (10, 10), (1, 3), (8512, 10000)]
)
def test_wilson_interval_solves_its_equation(correct, total):
    # The ends are the shares p whose distance from the observed share is z standard deviations.
    share, z = correct / total, 1.96
    ends = np.roots([1 + z**2 / total, -(2 * share + z**2 / total), share**2])
    np.testing.assert_allclose(wilson_interval(correct, total), sorted(ends.real), atol=1e-12)


def test_wilson_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        low <= 0.9 <= high
        for low, high in (wilson_interval(int(k), 200) for k in rng.binomial(200, 0.9, 4000))
    ]
    assert 0.93 < np.mean(hits) < 0.97


@pytest.mark.parametrize("correct, total", [(-1, 10), (11, 10), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(correct, total):
    with pytest.raises(ValueError, match=f"got {correct} of {total}"):
        wilson_interval(correct, total)


def test_the_record_of_2019_is_what_the_submission_printed():
    record = read_record(SUBMISSION)
    assert len(record.history) == 50
    assert sum(row["seconds"] for row in record.history) == record.run["seconds"] == 5561
    assert record.run["best_epoch"] == {"epoch": 48, "accuracy": 0.9036}
    assert record.run["final"]["correct"] == 9024
    assert record.run["device"] is None and record.is_transcribed


def test_a_sound_record_is_read(tmp_path):
    record = read_record(write_record(tmp_path / "sound"))
    assert record.model == "ResNet20v2"
    assert record.history[1]["val_accuracy"] == 0.9
    assert record.label == "one-cycle, short; quick profile, CPU: not the full result"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"final.accuracy": 0.81}, ["final.accuracy is 0.81", "0.8"]),
        ({"final.correct": 801, "final.ci95": [0.775, 0.825]}, ["final.accuracy is 0.8", "0.801"]),
        ({"final.images": 1001}, ["final.images is 1001", "data.test_images is 1000"]),
        ({"final.ci95": [0.79, 0.81]}, [r"final.ci95\[0\] is 0.79"]),
        ({"final.loss": 0.2}, ["final.loss is 0.2", "0.3333"]),
        ({"best_epoch.epoch": 3}, ["best_epoch.epoch is 3", "gives 2"]),
        ({"best_epoch.accuracy": 0.95}, ["best_epoch.accuracy is 0.95", "gives 0.9"]),
        ({"recipe.epochs": 4}, ["recipe.epochs is 4", "gives 3"]),
        ({"name": "other"}, ["name is other", "the folder is bad"]),
        ({"data.source": ...}, ["data.source is missing"]),
        ({"final": ...}, ["final.accuracy is missing"]),
        ({"device": None}, ["device is null"]),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path, changes, words):
    folder = write_record(tmp_path / "bad", **changes)
    with pytest.raises(ValueError) as caught:
        read_record(folder)
    for word in ("run.json", "do not edit records by hand"):
        assert word in str(caught.value)
    for word in words:
        assert caught.match(word)


def test_both_final_accuracy_and_history_changed_is_still_noticed(tmp_path):
    folder = write_record(tmp_path / "bad", **{"final.accuracy": 0.85})
    path = folder / "history.csv"
    path.write_text(path.read_text().replace("0.8\n", "0.85\n"))
    with pytest.raises(ValueError, match=r"final\.correct / final\.images"):
        read_record(folder)


@pytest.mark.parametrize("name", ["run.json", "history.csv"])
def test_an_incomplete_record_is_refused(tmp_path, name):
    folder = write_record(tmp_path / "bad")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing.*finish the run"):
        read_record(folder)


def test_broken_json_is_refused(tmp_path):
    folder = write_record(tmp_path / "bad")
    (folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not valid JSON"):
        read_record(folder)


def test_a_diverged_run_can_be_recorded(tmp_path):
    folder = write_record(tmp_path / "diverged", **{"final.loss": float("nan")})
    path = folder / "history.csv"
    path.write_text(path.read_text().replace(str(1 / 3), "nan"))
    assert np.isnan(read_record(folder).run["final"]["loss"])


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("epoch,", "", "missing .'epoch'."),
        ("\n2,", "\n3,", "epoch in row 2 is '3', expected 2"),
        ("0.9\n", "1.9\n", "val_accuracy of epoch 2 is '1.9'"),
        ("0.9\n", "\n", "val_accuracy of epoch 2 is ''"),
        ("0.9\n", "good\n", "row 2 .* not all numbers"),
    ],
)
def test_a_broken_history_is_refused(tmp_path, old, new, words):
    path = write_record(tmp_path / "bad") / "history.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=words):
        read_history(path)


def test_a_history_without_epochs_is_refused(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(",".join(CSV_FIELDS) + "\n")
    with pytest.raises(ValueError, match="no epoch is recorded"):
        read_history(path)


def test_a_run_under_way_is_passed_over_but_a_lost_record_is_not(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(SUBMISSION, runs / SUBMISSION.name)
    (runs / "under-way").mkdir()
    with pytest.raises(ValueError, match="under-way"):
        read_records(runs)
    (runs / "under-way" / "plan.json").write_text("{}")
    assert [record.name for record in read_records(runs)] == [SUBMISSION.name]


def test_reported_run_is_chosen_by_evidence_not_by_accuracy(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(SUBMISSION, runs / SUBMISSION.name)
    assert report.reported_record(read_records(runs)).name == report.SUBMISSION
    write_record(runs / "quick")
    assert report.reported_record(read_records(runs)).name == "quick"
    write_record(runs / "shapes", images=5000, **{"data.source": "painted shapes (synthetic)"})
    write_record(runs / "held-out", images=5000, **{"data.validation": "5000 held-out images"})
    write_record(runs / "again", images=5000, **{"recipe.name": "seed-2019"})
    assert report.reported_record(read_records(runs)).name == "quick"
    write_record(runs / "more", images=2000)
    assert report.reported_record(read_records(runs)).name == "more"
    write_record(runs / "full", epochs=1, full_result=True, **{"best_epoch.accuracy": 0.8})
    assert report.reported_record(read_records(runs)).name == "full"
    names = [record.name for record in read_records(runs)]
    assert names[:2] == [report.SUBMISSION, "full"] and names[2:] == sorted(names[2:])


def test_every_row_says_what_it_is(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(SUBMISSION, runs / SUBMISSION.name)
    write_record(runs / "quick")
    write_record(runs / "held-out", **{"data.validation": "1000 held-out images"})
    table = report.results_block(read_records(runs)).splitlines()
    assert len({line.count("|") for line in table[:5]}) == 1
    assert "transcribed from its log" in table[2] and "not recorded" in table[2]
    quick = next(line for line in table if "**quick**" in line)
    for part in ("not the full result", "jax, CPU (test, 2 cores), float32", "80.00 %", "| 3.0 |"):
        assert part in quick
    assert any("measured on 1000 held-out images" in line for line in table)
    assert "](" not in "".join(table)
    assert "full run of this repository is not recorded yet" in table[-1]
    write_record(runs / "full", full_result=True)
    assert "not recorded yet" not in report.results_block(read_records(runs))


def test_status_and_log_show_the_last_epoch(tmp_path):
    write_record(tmp_path / "runs" / "quick")
    records = read_records(tmp_path / "runs")
    status = report.status_block(records)
    assert "Val Acc: **80.00%** (last epoch of quick; " in status and "not the full" in status
    lines = report.epoch_log_block(records).splitlines()
    assert lines[lines.index(EPOCH_HEADER) + 3] == format_epoch_row(records[0].history[2])
    assert lines[-2] == "after the last epoch: 800 of 1,000 test images right, accuracy 0.8000"


def test_heatmap_figure_is_shown_once_it_exists(tmp_path):
    folder = write_record(tmp_path / "runs" / "quick")
    assert "](" not in report.heatmap_block(read_records(tmp_path / "runs"))
    (folder / "gradcam.png").write_bytes(b"png")
    block = report.heatmap_block(read_records(tmp_path / "runs"))
    assert "(runs/quick/gradcam.png)" in block and "not the full result" in block


def test_colab_block_links_only_to_a_known_address():
    assert "File > Upload notebook" in report.colab_block("")
    assert "](" not in report.colab_block("")
    block = report.colab_block("someone/some-course")
    address = "colab.research.google.com/github/someone/some-course/blob/main/Assignment4B.ipynb"
    assert address in block and "https://github.com/someone/some-course" in block


@pytest.mark.parametrize(
    "address", ["course", "https://github.com/a/b", "a/b/c", "a b/c", "/b", '"/x']
)
def test_malformed_address_is_refused(address):
    with pytest.raises(ValueError, match="owner/name"):
        report.colab_block(address)


@pytest.fixture
def project(tmp_path):
    """A small copy of the repository: module, README, notebook, one record."""
    (tmp_path / "utils").mkdir()
    code = (ROOT / "utils" / "report.py").read_text()
    (tmp_path / "utils" / "report.py").write_text(report._set_constant(code, ""))
    names = ("results", "heatmaps", "status", "epoch-log", "colab")
    blocks = "\n".join(f"<!-- generated:{n} -->\nold\n<!-- /generated:{n} -->\n" for n in names)
    (tmp_path / "README.md").write_text(f"# Title\n{blocks}\nend\n")
    title = "# Tïtle\n<!-- generated:results -->\n<!-- /generated:results -->\n"
    title += "<!-- generated:colab -->\n<!-- /generated:colab -->"
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": title.splitlines(keepends=True)},
        {
            "cell_type": "code",
            "metadata": {},
            "source": ["import os\n", 'REPOSITORY = ""  # later'],
        },
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / report.NOTEBOOK).write_text(json.dumps(notebook))
    write_record(tmp_path / "runs" / "quick")
    return tmp_path


def test_command_renews_and_checks(project, capsys):
    assert report.main(["--check"], project) == 1
    assert "+Model: **ResNet20v2**" in capsys.readouterr().out
    assert "old" in (project / "README.md").read_text(), "--check must write nothing"
    assert report.main([], project) == 0
    text = (project / "README.md").read_text()
    assert "old" not in text and text.startswith("# Title\n") and text.endswith("\nend\n")
    notebook = json.loads((project / report.NOTEBOOK).read_text())
    assert "**quick**" in "".join(notebook["cells"][0]["source"])
    assert notebook["cells"][0]["source"][0] == "# Tïtle\n"
    assert report.main(["--check"], project) == 0
    (project / "README.md").write_text(text.replace("80.00%", "81.00%"))
    assert report.main(["--check"], project) == 1


def test_command_enters_the_address_everywhere(project):
    assert report.main(["--repository", "someone/course"], project) == 0
    assert '\nREPOSITORY = "someone/course"\n' in (project / "utils" / "report.py").read_text()
    notebook = json.loads((project / report.NOTEBOOK).read_text())
    assert notebook["cells"][1]["source"][1] == 'REPOSITORY = "someone/course"  # later'
    for text in ("".join(notebook["cells"][0]["source"]), (project / "README.md").read_text()):
        assert "github.com/someone/course" in text
    assert report.main(["--check"], project) == 0, "the address must be kept"
    assert report.main(["--repository", ""], project) == 0
    assert "someone" not in (project / "README.md").read_text()


def test_command_reports_a_bad_record_or_address(project, capsys):
    assert report.main(["--repository", "nonsense"], project) == 2
    (project / "runs" / "quick" / "history.csv").unlink()
    assert report.main([], project) == 2
    errors = capsys.readouterr().err
    assert "owner/name" in errors and "history.csv is missing" in errors


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated:results -->\n",
        "<!-- /generated:results -->\n",
        "<!-- generated:unknown -->\n<!-- /generated:unknown -->\n",
        "<!-- generated:results -->\n<!-- generated:results -->\n<!-- /generated:results -->\n",
    ],
)
def test_broken_markers_are_refused(text):
    with pytest.raises(ValueError, match="marker"):
        report.fill_blocks(text, {"results": "x"})


def test_epoch_line_stands_under_its_header():
    row = dict.fromkeys(CSV_FIELDS, 0.25) | {"epoch": 7, "learning_rate_last": 3.2e-6}
    line = format_epoch_row(row)
    assert len(line) == len(EPOCH_HEADER)
    assert line.split() == [
        "7",
        "3.200e-06",
        "0.2500",
        "0.2",
        "0.2500",
        "0.2500",
        "0.2500",
        "0.2500",
    ]
    assert format_epoch_row({"epoch": 7, "val_loss": None}).split() == ["7"] + ["-"] * 7


def test_records_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Record(ROOT, {}, []).run = {}
