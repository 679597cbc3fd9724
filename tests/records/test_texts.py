"""What records say in words: table, remarks, log, heatmaps, with the official data and without."""

import json
import shutil

import pytest
from sample_records import write_record

from utils.records import pages, texts
from utils.records.compare import recipe_of_2019_repeated, seeds_of_full_runs
from utils.records.intervals import difference_interval
from utils.records.read import ROOT, SUBMISSION, read_record, read_records
from utils.records.studies import write_study
from utils.training.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row

JPEG = {"data.source": "CIFAR-10, image folder (JPEG)"}
FULL = {"full_result": True, "images": 10_000}


@pytest.fixture
def runs(tmp_path):
    """A folder of records with that of 2019."""
    shutil.copytree(ROOT / "runs" / SUBMISSION, tmp_path / "runs" / SUBMISSION)
    return tmp_path / "runs"


def remarks(runs):
    """What is said below the table."""
    return texts.results(read_records(runs)).split("\n\n")[1:]


def test_every_row_says_what_it_is(runs):
    write_record(runs / "quick")
    write_record(runs / "held-out", **{"data.validation": "1000 held-out images"})
    table = texts.results(read_records(runs)).splitlines()
    assert len({line.count("|") for line in table[:5]}) == 1
    assert "transcribed from its log" in table[2] and "not recorded" in table[2]
    quick = next(line for line in table if "**quick**" in line)
    for part in (
        "not the full result",
        "jax, CPU (test, 2 cores), float32",
        "80.00 %",
        "| 3.0 (0.2) |",
    ):
        assert part in quick
    assert any("measured on 1000 held-out images" in line for line in table)
    assert "](" not in "".join(table)
    assert "full run of this repository is not recorded yet" in table[-1]
    write_record(runs / "full", full_result=True)
    assert "not recorded yet" not in texts.results(read_records(runs))


def test_runs_on_painted_shapes_are_no_result_on_cifar10(runs):
    write_record(runs / "painted", **{"data.source": "painted shapes (synthetic)"})
    records = read_records(runs)
    assert len(records) == 2
    assert "painted" not in texts.results(records)


def test_studies_are_shown_with_table_and_figure_and_are_no_single_runs(runs):
    assert "No study is recorded yet" in pages.studies(runs / "studies")
    study = runs / "studies" / "letters"
    write_study(study, "Which letter?", {"a": "first", "b": "second"})
    assert "No study is recorded yet" in pages.studies(runs / "studies")  # begun, no run
    for name in ("a-seed-0", "a-seed-1", "b-seed-0"):
        write_record(study / name)
    (study / "letters.png").touch()
    assert [record.name for record in read_records(runs)] == [SUBMISSION]
    block = pages.studies(runs / "studies")
    assert block.startswith("### Which letter?\n\n| what | runs |")
    assert "| first | 2 | 80.00 ± 0.00 % |" in block and "| second | 1 | 80.00 % |" in block
    assert block.endswith("![Which letter?](runs/studies/letters/letters.png)")
    assert pages.make_blocks(runs, "")["studies"] == block


def test_seeds_of_a_recipe_are_summed_up(runs):
    write_record(runs / "quick")
    assert seeds_of_full_runs(read_records(runs)) == []
    full = {"full_result": True, "recipe.name": "one-cycle"}
    write_record(runs / "seed-0", **full)
    assert "one seed (0), so its spread is not known" in texts.results(read_records(runs))
    write_record(runs / "seed-1", images=10_000, **full | {"seed": 1})
    for name, other in (
        ("elsewhere", {"data.content_hash": "1" * 64}),
        ("milder", {"recipe.max_lr": 0.1}),
        ("other-backend", {"backend": "tensorflow"}),
    ):
        write_record(runs / name, **full | other)
    assert len(seeds_of_full_runs(read_records(runs))) == 4
    expected = (
        "2 runs with seeds 0, 1, final accuracy 80.00 % on average, standard deviation 0.00 %."
    )
    assert sum(remark.endswith(expected) for remark in remarks(runs)) == 1


def test_every_machine_of_an_interrupted_run_is_named(tmp_path):
    folder = write_record(tmp_path / "moved")
    run = json.loads((folder / "run.json").read_text())
    second = run["starts"][0] | {"epoch": 2, "compile_seconds": 0.0, "device": "GPU (Tesla T4)"}
    run["starts"].append(second)
    (folder / "run.json").write_text(json.dumps(run))
    assert "CPU (test, 2 cores) then GPU (Tesla T4)" in texts.results([read_record(folder)])


def test_a_full_run_on_the_original_images_is_held_against_2019(runs):
    write_record(runs / "ours", accuracy=0.93, **FULL)
    records = read_records(runs)
    headline = texts.headline(records)
    assert headline.startswith("Reached: **93.00 %** of the 10,000 test images after the last of 3")
    assert "in 3.0 minutes of training on jax, CPU (test, 2 cores), float32" in headline
    assert headline.endswith("ended at 90.24 % and reported its best epoch, 90.36 %.")
    assert "JPEG" not in headline + texts.results(records) + texts.status(records)


def test_a_jpeg_copy_is_named_and_not_held_against_2019(runs):
    write_record(runs / "jpeg", accuracy=0.93, **FULL, **JPEG)
    records = read_records(runs)
    headline = texts.headline(records)
    assert "JPEG copy" in headline and "must not be compared" in headline
    assert "90." not in headline
    assert "on a JPEG copy of the images" in texts.status(records)
    _, _, remark = remarks(runs)
    assert remark.startswith("**jpeg used a JPEG copy") and "2019" in remark


def test_without_a_full_run_the_headline_says_so(runs):
    missing = "A full run of this repository is not recorded yet."
    assert texts.headline(read_records(runs)) == missing
    write_record(runs / "quick")
    assert texts.headline(read_records(runs)) == missing


def test_ours_is_held_against_the_recipe_of_2019_on_the_same_images(runs):
    recipe = {"recipe.name": "seed-2019", "recipe.schedule": "seed_triangle"}
    write_record(runs / "ours", accuracy=0.93, **FULL)
    write_record(runs / "repeated", accuracy=0.9, **FULL, **recipe)
    low, high = difference_interval((9300, 10_000), (9000, 10_000))
    against = next(one for one in remarks(runs) if "same code, same data" in one)
    assert "ours ends at 93.00 %, repeated at 90.00 %: +3.00 points" in against
    assert f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}" in against
    low, high = difference_interval((9000, 10_000), (9024, 10_000))
    reproduction = next(one for one in remarks(runs) if "repeated on the original" in one)
    assert "ends at 90.00 %, the log of the submission at 90.24 %: -0.24 points" in reproduction
    assert f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}" in reproduction


@pytest.mark.parametrize(
    "changes",
    [
        {"data.content_hash": "1" * 64},
        {"full_result": False},
        {"data.validation": "5000 images held out"},
        {"recipe.name": "step-decay"},
    ],
)
def test_other_runs_are_not_the_recipe_of_2019_repeated(runs, changes):
    write_record(runs / "ours", accuracy=0.93, **FULL)
    write_record(runs / "other", **FULL | {"recipe.name": "seed-2019"} | changes)
    assert not any("same code" in one or "repeated on" in one for one in remarks(runs))


def test_on_a_jpeg_copy_both_recipes_are_compared_but_not_with_the_log_of_2019(runs):
    write_record(runs / "ours", accuracy=0.93, **FULL, **JPEG)
    write_record(runs / "repeated", **FULL, **JPEG, **{"recipe.name": "seed-2019"})
    said = remarks(runs)
    assert any("same code, same data" in one for one in said)
    assert not any("repeated on the" in one for one in said)


def test_of_several_repetitions_the_one_that_is_most_alike_counts(runs):
    recipe = FULL | {"recipe.name": "seed-2019"}
    write_record(runs / "ours", accuracy=0.93, **FULL)
    write_record(runs / "alike", **recipe)
    write_record(runs / "other-precision", **recipe, precision="mixed_bfloat16")
    write_record(runs / "other-seed", **recipe, seed=1)
    assert recipe_of_2019_repeated(read_records(runs)).name == "alike"


def test_when_the_submission_was_passed_is_said_of_a_full_run(runs):
    write_record(runs / "quick")
    assert "of 2019 (90.36 %)" not in texts.results(read_records(runs))
    write_record(runs / "full", full_result=True)  # its best epoch has 90 %
    assert "full did not pass the best epoch of 2019 (90.36 %)." in remarks(runs)
    path = runs / "full" / "history.csv"
    path.write_text(path.read_text().replace(",0.9\n", ",0.95\n"))
    path = path.with_name("run.json")
    path.write_text(path.read_text().replace('"accuracy": 0.9}', '"accuracy": 0.95}'))
    expected = "full was above the best epoch of 2019 (90.36 %) for the first time after epoch 2, "
    assert f"{expected}2.0 minutes." in remarks(runs)


def test_status_and_log_show_the_last_epoch(tmp_path):
    write_record(tmp_path / "runs" / "quick")
    records = read_records(tmp_path / "runs")
    status = texts.status(records)
    assert "Val Acc: **80.00%** (last epoch of quick; " in status and "not the full" in status
    lines = texts.epoch_log(records).splitlines()
    assert lines[lines.index(EPOCH_HEADER) + 3] == format_epoch_row(records[0].history[2])
    assert lines[-2] == "after the last epoch: 800 of 1,000 test images right, accuracy 0.8000"


def test_curves_are_shown_behind_the_log_once_they_are_drawn(tmp_path):
    folder = write_record(tmp_path / "runs" / "quick")
    assert texts.epoch_log(read_records(tmp_path / "runs")).endswith("0.8000\n```")
    (folder / "curves.png").write_bytes(b"png")
    block = texts.epoch_log(read_records(tmp_path / "runs"))
    assert block.endswith("of quick, with another run behind it](runs/quick/curves.png)")


def test_heatmap_figure_is_shown_once_it_exists(tmp_path):
    folder = write_record(tmp_path / "runs" / "quick")
    assert "](" not in texts.heatmaps(read_records(tmp_path / "runs"))
    (folder / "gradcam.png").write_bytes(b"png")
    block = texts.heatmaps(read_records(tmp_path / "runs"))
    assert "(runs/quick/gradcam.png)" in block and "not the full result" in block


def test_colab_block_links_only_to_a_known_address():
    assert "File > Upload notebook" in texts.colab("", "a.ipynb")
    assert "](" not in texts.colab("", "a.ipynb")
    block = texts.colab("someone/some-course", "a.ipynb")
    address = "colab.research.google.com/github/someone/some-course/blob/main/a.ipynb"
    assert address in block and "https://github.com/someone/some-course" in block


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
