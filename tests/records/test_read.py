"""Run records: reading them, and refusing those that are incomplete or contradict themselves."""

import dataclasses
import shutil

import numpy as np
import pytest
from sample_records import write_record

from utils.data.cifar_archive import CONTENT_HASH, SOURCES
from utils.records import read as records
from utils.records.choose import reported_record
from utils.records.pages import make_blocks
from utils.records.read import ROOT, Record, read_record, read_records
from utils.records.weights import shipped_record
from utils.settings import RECIPES
from utils.training.epoch_log import CSV_FIELDS, read_history
from utils.training.run_folder import as_json

SUBMISSION = ROOT / "runs" / records.SUBMISSION
START = {"epoch": 1, "compile_seconds": 12.5, "device": "CPU"}
MEASURED = {
    "source": "CIFAR-10, image folder (JPEG)",
    "content_hash": "1" * 64,
    "images": 1000,
    "correct": 900,
    "accuracy": 0.9,
    "flip_averaged": {"correct": 905, "accuracy": 0.905},
}

OFFICIAL = {"data.source": SOURCES[2], "data.content_hash": CONTENT_HASH, "images": 10_000}
OFFICIAL |= {"data.train_images": 50_000}


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
    assert record.label == "one-cycle; quick profile, CPU: not the full result"


@pytest.mark.parametrize(
    "changes",
    [
        OFFICIAL,
        {"data.source": f"{SOURCES[0]}, subset of 2,000 + 1,000 images"},
        {"data.source": f"{SOURCES[0]}, tested on 1,000 held-out training images"},
        OFFICIAL | {"data.source": f"{SOURCES[0]}, subset of 50,000 + 10,000 images"},
    ],
)
def test_the_official_images_and_parts_of_them_are_told_apart(tmp_path, changes):
    assert read_record(write_record(tmp_path / "official", **changes)).on_cifar10


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"flip_averaged": {"correct": 1, "accuracy": 0.99}}, ["flip_averaged.accuracy is 0.99"]),
        ({"final.correct": "800"}, ["final.correct is wrong: '800' is not of type 'integer'"]),
        ({"final.correct": 1001}, ["final.correct / images is 1.001"]),
        ({"final.accuracy": 1.2}, ["final.accuracy is wrong: 1.2 is greater than .* 1"]),
        ({"starts": [{}]}, [r"starts\[0\].epoch is missing"]),
        ({"starts": []}, [r"starts is wrong: \[\] (should be non-empty|is too short)"]),
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
        ({"final": ...}, ["the field final is missing"]),
        ({"device": None}, ["device is null.*named `source`"]),
        ({"data.train_images": None}, ["data.train_images is null"]),
        ({"weights": {}}, ["weights.sha256 is missing"]),
        ({"data.source": SOURCES[0]}, ["data.content_hash is 000", f"archive' has {CONTENT_HASH}"]),
        (
            {"data.content_hash": CONTENT_HASH},
            [r"data.source is .*\(PNG\), but its con"],
        ),
        ({**OFFICIAL, "data.train_images": 2000}, ["data.train_images is 2000", "has 50000"]),
        ({**OFFICIAL, "images": 1000}, ["data.test_images is 1000", "has 10000"]),
        ({"measured": [MEASURED | {"source": SOURCES[3]}]}, [r"measured\[0\].content_hash is 111"]),
        (
            {"measured": [MEASURED | {"content_hash": CONTENT_HASH}]},
            [r"measured\[0\].source is CIFAR-10, image folder \(JPEG\), but"],
        ),
        (
            {"measured": [MEASURED | {"source": SOURCES[1], "content_hash": CONTENT_HASH}]},
            [r"measured\[0\].images is 1000, but 'CIFAR-10, official batches' has 10000"],
        ),
        ({"measured": [MEASURED | {"accuracy": 0.5}]}, [r"measured\[0\].accuracy is 0.5", "0.9"]),
        ({"measured": [MEASURED | {"correct": None}]}, [r"measured\[0\].correct is wrong: None"]),
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


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"starts": [START | {"epoch": 2}]}, r"epochs of starts is \[2\], but in order, from 1"),
        (
            {"starts": [START, START | {"epoch": 3}, START | {"epoch": 2}]},
            r"\[1, 3, 2\].*\[1, 2, 3\]",
        ),
        ({"compile_seconds": 1.0}, "compile_seconds is 1.0.*12.5"),
        ({"seconds": 100.0}, "seconds is 100.0"),
    ],
)
def test_times_that_contradict_the_log_are_refused(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        read_record(write_record(tmp_path / "run", **changes))


def test_both_final_accuracy_and_history_changed_is_still_noticed(tmp_path):
    folder = write_record(tmp_path / "bad", **{"final.accuracy": 0.85})
    path = folder / "history.csv"
    path.write_text(path.read_text().replace("0.8\n", "0.85\n"))
    with pytest.raises(ValueError, match=r"final\.correct / images"):
        read_record(folder)


@pytest.mark.parametrize("name", ["run.json", "history.csv"])
def test_an_incomplete_record_is_refused(tmp_path, name):
    folder = write_record(tmp_path / "bad")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing.*finish the run"):
        read_record(folder)


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": "\xff"}', b"[" * 100_000])
def test_broken_json_is_refused(tmp_path, content):
    folder = write_record(tmp_path / "run")
    (folder / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is not valid JSON"):
        read_record(folder)


def test_a_diverged_run_can_be_recorded(tmp_path):
    folder = write_record(tmp_path / "diverged", **{"final.loss": float("nan")})
    path = folder / "history.csv"
    path.write_text(path.read_text().replace(str(1 / 3), "nan"))
    assert np.isnan(read_record(folder).run["final"]["loss"])
    path.write_text(path.read_text().replace("nan", "inf"))
    run = (folder / "run.json").read_text()
    (folder / "run.json").write_text(run.replace("NaN", "Infinity"))
    assert np.isinf(read_record(folder).run["final"]["loss"])


def test_a_full_run_of_an_earlier_recipe_says_so_and_gives_way(tmp_path, monkeypatch):
    today = dataclasses.replace(RECIPES["one-cycle"], epochs=3)
    monkeypatch.setitem(RECIPES, "one-cycle", today)
    recipe = as_json(dataclasses.asdict(today))
    write_record(tmp_path / "now", recipe=recipe, full_result=True)
    write_record(tmp_path / "then", recipe=recipe | {"max_lr": 0.8}, full_result=True)
    now, then = (read_record(tmp_path / name) for name in ("now", "then"))
    assert now.label == "one-cycle, the full recipe"
    assert then.label == "one-cycle, the full recipe in an earlier form"
    assert reported_record([then, now]) == now  # by name it would be the other one


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


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is no CSV"), (b"epoch,\xff\n", "is no CSV"), (None, "ends in the middle of line 4")],
)
def test_a_torn_history_is_refused(tmp_path, content, words):
    path = write_record(tmp_path / "run") / "history.csv"
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(ValueError, match=f"history.csv.*{words}"):
        read_history(path)


def test_a_history_without_epochs_is_refused(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(",".join(CSV_FIELDS) + "\n")
    with pytest.raises(ValueError, match="no epoch is recorded"):
        read_history(path)


def test_starts_with_and_without_settings_of_the_backend_are_read(tmp_path):
    starts = [START, START | {"epoch": 2, "compile_seconds": 0, "settings": {"A": "1"}}]
    record = read_record(write_record(tmp_path / "run", starts=starts))
    assert record.run["starts"][1]["settings"] == {"A": "1"}
    wrong = write_record(tmp_path / "wrong", starts=[START | {"settings": "A=1"}])
    with pytest.raises(ValueError, match=r"starts\[0\].settings is wrong: 'A=1' is not of type"):
        read_record(wrong)


def test_a_record_whose_weights_were_dropped_is_still_read(tmp_path):
    shutil.copytree(ROOT / "runs" / "shapes-resnet20v2", tmp_path / "shapes-resnet20v2")
    assert read_record(tmp_path / "shapes-resnet20v2").ships_weights
    weights = tmp_path / "shapes-resnet20v2" / "weights.npz"
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match=r"run\.json: weights\.sha256 is .*weights\.npz has"):
        read_record(weights.parent)
    weights.unlink()
    assert not read_record(tmp_path / "shapes-resnet20v2").ships_weights


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
    assert reported_record(read_records(runs)).name == records.SUBMISSION
    write_record(runs / "quick")
    assert reported_record(read_records(runs)).name == "quick"
    write_record(runs / "shapes", images=5000, **{"data.source": "painted shapes (synthetic)"})
    write_record(runs / "held-out", images=5000, **{"data.validation": "5000 held-out images"})
    write_record(runs / "again", images=5000, **{"recipe.name": "seed-2019"})
    assert reported_record(read_records(runs)).name == "quick"
    write_record(runs / "more", images=2000)
    assert reported_record(read_records(runs)).name == "more"
    write_record(runs / "full", epochs=1, full_result=True, **{"best_epoch.accuracy": 0.8})
    assert reported_record(read_records(runs)).name == "full"
    names = [record.name for record in read_records(runs)]
    assert names[:2] == [records.SUBMISSION, "full"] and names[2:] == sorted(names[2:])


def test_a_run_on_the_original_images_goes_before_one_on_a_jpeg_copy(tmp_path):
    write_record(tmp_path / "a-original", full_result=True)
    source = {"data.source": "CIFAR-10, image folder (JPEG)"}
    write_record(tmp_path / "b-jpeg", images=5000, full_result=True, **source)
    assert reported_record(read_records(tmp_path)).name == "a-original"


def test_records_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Record(ROOT, {}, []).run = {}


def test_without_records_there_is_nothing_and_no_network_to_ship(tmp_path):
    assert read_records(tmp_path) == []
    assert shipped_record(tmp_path) is None
    with pytest.raises(ValueError, match="no record of a run.*version control"):
        make_blocks(tmp_path, "")
