"""Studies: their tables, and runs that cannot be compared."""

import json
import shutil

import pytest
from sample_records import write_record

from utils.records import studies
from utils.records.intervals import difference_interval
from utils.records.read import ROOT, read_record
from utils.records.study_tables import study_table

OFFICIAL, COPY = "0" * 64, "1" * 64


def write_runs(folder, **accuracies):
    """Records named `<entry>-seed-<n>` with these final accuracies."""
    for name, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            write_record(folder / f"{name}-seed-{seed}", epochs=1, accuracy=accuracy, seed=seed)
    return folder


@pytest.fixture
def folder(tmp_path):
    studies.write_study(tmp_path, "Letters", {"a": "first", "b": "second"})
    return tmp_path


def test_table_gives_mean_and_spread(folder):
    write_runs(folder, a=[0.70, 0.72, 0.71], b=[0.75, 0.77], c=[0.1])
    study = studies.read_study(folder)
    assert study.title == "Letters"
    assert [(label, len(records)) for label, records in study.results] == [
        ("first", 3),
        ("second", 2),
    ]
    lines = study_table(study).splitlines()
    assert lines[0] == "| what | runs | final accuracy, mean ± standard deviation |"
    assert lines[2] == "| first | 3 | 71.00 ± 1.00 % |"
    assert lines[3] == "| second | 2 | 76.00 % (75.00, 77.00) |"  # no deviation of two
    assert "1 epochs, batches of 32; last epoch" in lines[-1]
    assert "measured on the test set; CIFAR-10" in lines[-1]


def test_what_is_added_to_the_line_above_is_given_with_its_change(folder):
    write_runs(folder, a=[0.70], b=[0.75, 0.77])
    studies.write_study(folder, "Letters", {"a": "first", "b": "+ second"})
    lines = study_table(studies.read_study(folder)).splitlines()
    assert lines[0] == "| what | runs | final accuracy, mean | change from the line above |"
    assert lines[2] == "| first | 1 | 70.00 % | – |"
    assert lines[3] == "| + second | 2 | 76.00 % (75.00, 77.00) | +6.00 |"
    studies.write_study(folder, "Letters", {"a": "first", "c": "+ missing", "b": "+ second"})
    table = study_table(studies.read_study(folder))
    assert "change" not in table, "two changes would be taken for one"


def test_a_study_of_smaller_networks_says_that_it_is_scaled_down(folder):
    write_record(folder / "a-seed-0", epochs=1, **{"recipe.depth": 20})
    assert "Scaled down from ResNet56v2 and 50 epochs" in study_table(studies.read_study(folder))
    write_record(folder / "a-seed-1", epochs=200, seed=1, **{"recipe.depth": 20})
    shutil.rmtree(folder / "a-seed-0")
    table = study_table(studies.read_study(folder))
    assert "Scaled down from ResNet56v2, which may order" in table
    write_record(folder / "b-seed-0", epochs=1, **{"recipe.depth": 56})
    assert "Scaled down" not in study_table(studies.read_study(folder))


def test_one_run_has_no_spread(folder):
    write_runs(folder, a=[0.7])
    table = study_table(studies.read_study(folder))
    assert "| what | runs | final accuracy |" in table and "| first | 1 | 70.00 % |" in table


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0" * 64, "1" * 64, "a-seed-0, a-seed-1 were measured on different images"),
        ('"depth": 20', '"depth": 56', "runs of a had different recipes, precisions or backends"),
        ('"seed": 1', '"seed": 0', r"two runs of a had the same seed, of \[0, 0\]"),
    ],
)
def test_runs_that_have_no_mean_are_refused(folder, old, new, words):
    write_runs(folder, a=[0.7, 0.8])
    path = folder / "a-seed-1" / "run.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=words):
        studies.read_study(folder)


def test_a_recipe_of_former_times_is_shown(folder):
    write_record(folder / "a-seed-0", **{"recipe.name": "retired"})
    assert "Scaled down" not in study_table(studies.read_study(folder))


def measured(content_hash, source, correct):
    """An entry of `measured`, of 1,000 images."""
    share = {"correct": correct, "accuracy": correct / 1000}
    where = {"content_hash": content_hash, "source": source, "images": 1000}
    return {**where, **share, "flip_averaged": share}


@pytest.fixture
def two_test_sets(tmp_path):
    """A study of what a copy costs: two runs, each measured on both test sets."""
    copy = {"data.source": "CIFAR-10, image folder (JPEG)", "data.content_hash": COPY}
    found = measured(OFFICIAL, "CIFAR-10, the archive itself", 820)
    write_record(tmp_path / "study" / "copy", accuracy=0.81, measured=[found], **copy)
    found = measured(COPY, "CIFAR-10, image folder (JPEG)", 800)
    write_record(tmp_path / "original", accuracy=0.85, measured=[found])
    plan = {"title": "What a copy costs", "runs": ["copy", "../original", "not-finished"]}
    (tmp_path / "study" / "study.json").write_text(json.dumps(plan))
    return tmp_path / "study"


def test_runs_are_compared_on_every_test_set(two_test_sets):
    study = studies.read_study(two_test_sets)
    assert study.title == "What a copy costs" and len(study.results) == 2
    lines = study_table(study).splitlines()
    # The same images are one column, whatever the source is called.
    heading = "| what | CIFAR-10, image folder (JPEG) | CIFAR-10, image folder (PNG) |"
    assert lines[:2] == [heading, "| --- | --- | --- |"]
    assert lines[2] == (
        "| trained on CIFAR-10, image folder (JPEG) | 81.00 % "
        "| 82.00 %, with mirror image 82.00 % |"
    )
    assert lines[3] == (
        "| trained on CIFAR-10, image folder (PNG) | 80.00 %, with mirror image 80.00 % | 85.00 % |"
    )
    low, high = difference_interval((800, 1000), (810, 1000))
    first = f"-1.00 ({100 * low:+.2f} to {100 * high:+.2f})"
    low, high = difference_interval((850, 1000), (820, 1000))
    second = f"+3.00 ({100 * low:+.2f} to {100 * high:+.2f})"
    assert lines[4] == f"| difference, second less first | {first} | {second} |"
    assert "ResNet20v2, 3 epochs, seed 0; jax, CPU (test, 2 cores)." in lines[-1]
    assert "differ in more" not in lines[-1]


def test_what_was_not_measured_is_said_to_be_so(two_test_sets):
    path = two_test_sets / "copy" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"measured": []}))
    lines = study_table(studies.read_study(two_test_sets)).splitlines()
    assert lines[2].endswith("| 81.00 % | not measured |")
    assert lines[4].endswith("| not known |")


def test_runs_that_differ_in_more_than_their_data_are_named(two_test_sets):
    path = two_test_sets / "copy" / "run.json"
    run = json.loads(path.read_text())
    run["recipe"]["batch_size"] = 64
    path.write_text(json.dumps(run | {"seed": 3, "precision": "mixed_bfloat16"}))
    note = study_table(studies.read_study(two_test_sets)).splitlines()[-1]
    assert "differ in more than their data: batch_size, seed, precision." in note


def test_a_held_out_part_is_no_test_set(two_test_sets):
    path = two_test_sets / "copy" / "run.json"
    path.write_text(path.read_text().replace("test set, for display only", "50 images held out"))
    with pytest.raises(ValueError, match="the run copy was measured on 50 images held out"):
        studies.read_study(two_test_sets)


def test_todays_record_can_move_into_the_study_of_the_copy_without_its_weights(tmp_path):
    source = ROOT / "runs" / "full-cifar10-tensorflow-cpu"
    if not read_record(source).on_compressed_copy:
        source = ROOT / "runs" / "studies" / "jpeg-copy" / source.name
    study = tmp_path / "studies" / "jpeg-copy"
    shutil.copytree(source, study / source.name, ignore=shutil.ignore_patterns("weights.npz"))
    shutil.copy(ROOT / "runs" / "studies" / "jpeg-copy" / "study.json", study)
    [(label, [record])] = studies.read_study(study).results
    assert label == "trained on CIFAR-10, image folder (JPEG)" and not record.ships_weights
    assert "| 91.51 %" in study_table(studies.read_study(study))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"title": "T"}', '{"title": "T", "entries": 3}']
)
def test_a_damaged_plan_of_a_study_is_named(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match="study.json is no plan of a study"):
        studies.read_study(tmp_path)
    with pytest.raises(ValueError, match="study.json is no plan of a study"):
        studies.write_study(tmp_path, "T", {})
