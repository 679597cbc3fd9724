"""What records say in words: table, remarks, log, heatmaps, with the official data and without."""

import json
import shutil

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sample_records import write_record

from utils.data.cifar_archive import CONTENT_HASH
from utils.records import pages, texts
from utils.records.compare import more_seeds, recipe_of_2019_repeated, seeds_of_full_runs
from utils.records.intervals import difference_interval
from utils.records.read import ROOT, SUBMISSION, read_record, read_records
from utils.records.studies import Study, read_study, write_study
from utils.training.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row

JPEG = {"data.source": "CIFAR-10, image folder (JPEG)"}
FULL = {"full_result": True, "images": 10_000}
MEASURED = {"source": "CIFAR-10, official batches", "content_hash": CONTENT_HASH, "images": 10_000}
MEASURED |= {"correct": 7000, "accuracy": 0.7, "flip_averaged": {"correct": 7100, "accuracy": 0.71}}
MEASURED |= {"device": "CPU (test, 2 cores)", "git_commit": "0" * 40}


def description(text):
    """What a PNG file keeps of a figure."""
    notes = PngInfo()
    notes.add_itxt("Description", text)
    return notes


@pytest.fixture
def runs(tmp_path):
    """A folder of records with that of 2019."""
    shutil.copytree(ROOT / "runs" / SUBMISSION, tmp_path / "runs" / SUBMISSION)
    return tmp_path / "runs"


def remarks(runs):
    """What is said below the table: a note for each run, then the paragraphs."""
    _, notes, *paragraphs = texts.results(read_records(runs)).split("\n\n")
    return [note.removeprefix("- ") for note in notes.splitlines()] + paragraphs


def test_every_row_says_what_it_is(runs):
    write_record(runs / "quick")
    write_record(runs / "held-out", **{"data.validation": "1000 held-out images"})
    table = texts.results(read_records(runs)).splitlines()
    assert [line.count("|") for line in table[:5]] == [6] * 5
    assert table[2].startswith("| submission of 2019 ¹ |") and "not recorded" in table[2]
    quick = "| this repository: one-cycle, quick profile ² | **80.00 %** (77.4 to 82.4) | 3 | 3.0 |"
    assert table[3] == f"{quick} CPU (test, 2 cores) |"
    first, second, third, last = (line.removeprefix("- ") for line in table[5:] if line)
    assert first.startswith("¹ 2019-submission: transcribed from its log; ResNet56v2 on")
    assert second.startswith("² quick: one-cycle; quick profile, CPU: not the full result")
    assert third.startswith("³ held-out: ")
    assert "measured on 1000 held-out images" in third
    assert second.endswith("best epoch 90.00 % (epoch 2).")
    assert "](" not in "".join(table)
    assert "full run of this repository is not recorded yet" in last
    write_record(runs / "full", full_result=True)
    assert "not recorded yet" not in texts.results(read_records(runs))


def test_runs_on_painted_shapes_are_no_result_on_cifar10(runs):
    write_record(runs / "painted", **{"data.source": "painted shapes (synthetic)"})
    records = read_records(runs)
    assert len(records) == 2
    assert "painted" not in texts.results(records)
    row = next(line for line in texts.all_runs(records).splitlines() if "**painted**" in line)
    for part in ("painted shapes", "jax, CPU (test, 2 cores), float32", "| 3.0 (0.2) |"):
        assert part in row


def test_studies_are_shown_in_a_line_and_whole_and_are_no_single_runs(runs):
    blocks = pages.make_blocks(runs, "")
    assert "Not recorded yet" in blocks["studies"]
    assert "Not recorded yet" in blocks["super-convergence"]
    assert "No study is recorded yet" in blocks["all-studies"]
    study = runs / "studies" / "letters"
    write_study(study, "Which letter?", {"a": "first", "b": "second"})
    assert "No study is recorded yet" in pages.make_blocks(runs, "")["all-studies"]  # begun, no run
    for name in ("a-seed-0", "a-seed-1", "b-seed-0"):
        write_record(study / name, seed=int(name[-1]))
    (study / "letters.png").touch()
    assert [record.name for record in read_records(runs)] == [SUBMISSION]
    blocks = pages.make_blocks(runs, "")
    whole = blocks["all-studies"]
    assert whole.startswith("### Which letter?\n\n| what | runs |")
    assert "| first | 2 | 80.00 % (80.00, 80.00) |" in whole and "| second | 1 | 80.00 % |" in whole
    assert whole.endswith("![Which letter?](studies/letters/letters.png)")
    line = "| Which letter? (scaled down: ResNet20v2, 3 epochs, mean of 1 and 2 "
    line += "seeds) | "
    line += "first: 80.00 % (80.00, 80.00); second: 80.00 % |"
    assert blocks["studies"].endswith(line) and "Not recorded yet" in blocks["studies"]


def test_the_study_of_fixes_is_shown_whole(runs):
    study = runs / "studies" / "fixes"
    write_study(study, "What each fix is worth", {"a": "all faults", "b": "+ one mended"})
    write_record(study / "a-seed-0", **{"recipe.depth": 56})
    write_record(study / "b-seed-0", accuracy=0.85, **{"recipe.depth": 56})
    block = pages.make_blocks(runs, "")["studies"]
    assert "Not recorded yet" not in block and "other question" not in block
    assert "| + one mended | 1 | 85.00 % | +5.00 |" in block


def test_a_small_study_of_fixes_says_that_it_is_small(runs):
    study = runs / "studies" / "fixes"
    write_study(study, "What each fix is worth", {"a": "all faults", "b": "+ one mended"})
    write_record(study / "a-seed-0")
    write_record(study / "b-seed-0", accuracy=0.85)
    for block in ("studies", "all-studies"):
        block = pages.make_blocks(runs, "")[block]
        assert "| + one mended | 1 | 85.00 % | +5.00 |" in block
        assert "Scaled down from ResNet56v2 and 50 epochs" in block


def write_seeds(study, name, accuracies, **changes):
    for seed, accuracy in enumerate(accuracies):
        write_record(study / f"{name}-seed-{seed}", accuracy=accuracy, seed=seed, **FULL | changes)


def starts(*devices):
    """Of a run of three epochs, whose starts took 12.5 seconds to compile together."""
    seconds = [12.5] + [0.0] * (len(devices) - 1)
    found = enumerate(zip(devices, seconds, strict=True), start=1)
    return {
        "starts": [{"epoch": n, "compile_seconds": s, "device": device} for n, (device, s) in found]
    }


def test_more_seeds_of_the_reported_recipe_head_the_page(runs):
    """Those of other recipes, images, backends and devices are no seeds of it."""
    write_record(runs / "ours", accuracy=0.94, **FULL)
    study = runs / "studies" / "super-convergence"
    write_seeds(study, "a", (0.92, 0.93, 0.94), **starts("GPU (A)", "CPU (b)"))
    write_seeds(study, "b", (0.5,) * 4, **{"recipe.max_lr": 1.0})
    write_seeds(study, "c", (0.5, 0.5), backend="tensorflow")
    write_seeds(study, "d", (0.5, 0.5), **starts("GPU (A)"))
    labels = {"b": "other", "a": "ours", "c": "ours elsewhere", "d": "ours on one device"}
    write_study(study, "Schedules", labels)
    elsewhere = runs / "studies" / "other-images"
    write_seeds(elsewhere, "a", (0.5,) * 4, **{"data.content_hash": "1" * 64})
    write_study(elsewhere, "Other images", {"a": "ours"})
    again = runs / "studies" / "length"  # has one of these runs, too
    write_seeds(again, "a", (0.92,), **starts("GPU (A)", "CPU (b)"))
    write_record(again / "b-seed-1", accuracy=0.9, seed=1, **FULL)
    write_study(again, "Length", {"a": "ours", "b": "ours, on the device of the reported run"})
    alone = read_record(runs / "ours")
    with_itself = Study("Test sets", [("ours", [alone])], of_test_sets=True, adds_up=False)
    studies = [with_itself, *(read_study(one) for one in (study, elsewhere, again))]
    found = more_seeds(alone, studies)
    assert (found.seeds, found.accuracies) == ([0, 1, 2], [0.92, 0.93, 0.94])
    assert more_seeds(alone, studies, more_seeds(alone, studies[:2]).place) == found
    assert more_seeds(alone, [with_itself, studies[3]]) is None
    assert more_seeds(None, studies) is None
    blocks = pages.make_blocks(runs, "")
    assert blocks["headline"].startswith(
        "**93.00 ± 1.00 %** test accuracy after the last of 3 epochs, in 3 minutes with JAX on a "
        "GPU (A) then a CPU (b): mean and standard deviation of 3 seeds. The reported run reached "
        "**94.00 %** in 3 minutes on a CPU (test, 2 cores). The student's "
    )
    row = "| the same recipe, 3 seeds | **93.00 ± 1.00 %** (mean ± standard deviation) | 3 | 3.0 |"
    assert f"{row} GPU (A) then CPU (b), JAX |" in blocks["results"]
    assert "spread that is not known" not in blocks["results"]
    assert "The deviation of the seeds is that" in blocks["results"]
    assert "| ours | 3 | 93.00 ± 1.00 % |" in blocks["super-convergence"]
    assert "Schedules" not in blocks["studies"] and "Other images" in blocks["studies"]
    write_record(runs / "other", accuracy=0.8, **FULL, **{"recipe.name": "seed-2019"})
    assert "spread that is not known" in pages.make_blocks(runs, "")["results"]


def test_of_several_runs_the_median_time_is_said(runs):
    write_record(runs / "ours", accuracy=0.94, **FULL)
    study = runs / "studies" / "super-convergence"
    write_seeds(study, "a", (0.92, 0.93, 0.94))
    for seed, seconds in ((1, "20.0"), (2, "10.0")):
        for name, whole in (("history.csv", seconds), ("run.json", str(3 * float(seconds)))):
            path = study / f"a-seed-{seed}" / name
            before = "60.0" if name == "history.csv" else "180.0"
            path.write_text(path.read_text().replace(before, whole))
    write_study(study, "Schedules", {"a": "ours"})
    assert "in 60 seconds with JAX" in pages.make_blocks(runs, "")["headline"]


def test_no_seeds_stand_beside_a_run_that_is_not_full(runs):
    write_record(runs / "quick")
    study = runs / "studies" / "super-convergence"
    write_seeds(study, "a", (0.92, 0.93, 0.94))
    write_study(study, "Schedules", {"a": "ours"})
    blocks = pages.make_blocks(runs, "")
    assert "3 seeds" not in blocks["headline"] + blocks["results"]


def test_seeds_of_both_recipes_on_the_same_device_are_compared(runs):
    former = {"recipe.name": "seed-2019"}
    write_record(runs / "ours", accuracy=0.94, **FULL)
    write_record(runs / "repeated", accuracy=0.91, **FULL, **former)
    study = runs / "studies" / "super-convergence"
    write_seeds(study, "a", (0.93, 0.94))
    write_seeds(study, "b", (0.90, 0.90), **former)
    write_seeds(study, "c", (0.85,) * 3, **former, **starts("GPU (A)"))
    write_study(study, "Schedules", {"b": "former", "a": "ours", "c": "former elsewhere"})
    blocks = pages.make_blocks(runs, "")
    assert blocks["headline"].startswith("**93.50 % (93.00, 94.00)** test accuracy after")
    assert "on a CPU (test, 2 cores): mean of 2 seeds. The reported" in blocks["headline"]
    assert (
        "On a CPU (test, 2 cores), means of 2 and 2 seeds: 93.50 % (93.00, 94.00) less 90.00 % "
        "(90.00, 90.00), +3.50 points."
    ) in blocks["results"]
    assert "The deviation of the seeds" not in blocks["results"]
    for seed in range(2):
        shutil.rmtree(study / f"b-seed-{seed}")
    assert "means of" not in pages.make_blocks(runs, "")["results"]


def test_painted_shapes_alone_are_no_results_on_cifar10(tmp_path):
    record = write_record(tmp_path / "painted", **{"data.source": "painted shapes (synthetic)"})
    assert texts.results([read_record(record)]) == "*No run on CIFAR-10 is recorded yet.*"


def test_a_short_time_is_said_in_seconds(runs):
    write_record(runs / "ours", epochs=1, **FULL)
    assert "of 1 epochs, in 60 seconds on a" in texts.headline(read_records(runs), runs)


def test_a_study_of_test_sets_in_one_line(runs):
    write_record(runs / "ours", accuracy=0.93, **FULL)
    study = runs / "studies" / "copy"
    write_record(study / "copied", **FULL, **JPEG, measured=[MEASURED])
    (study / "study.json").write_text('{"title": "The copy", "runs": ["copied", "../../ours"]}')
    line = pages.make_blocks(runs, "")["studies"].splitlines()[-1]
    assert line == (
        "| The copy (scaled down: ResNet20v2, 3 epochs) | "
        "trained on CIFAR-10, image folder (JPEG): 80.00 % on CIFAR-10, image folder (JPEG), "
        "70.00 % on CIFAR-10, official batches; trained on CIFAR-10, image "
        "folder (PNG): 93.00 % on CIFAR-10, image folder (PNG) |"
    )


def test_seeds_of_a_recipe_are_summed_up(runs):
    write_record(runs / "quick")
    assert seeds_of_full_runs(read_records(runs)) == []
    full = {"full_result": True, "recipe.name": "one-cycle"}
    write_record(runs / "seed-0", **full)
    alone = "A recipe with a single seed has a spread that is not known."
    assert remarks(runs)[-1].endswith(alone)
    write_record(runs / "seed-1", images=10_000, **full | {"seed": 1})
    for name, other in (
        ("elsewhere", {"data.content_hash": "1" * 64}),
        ("milder", {"recipe.max_lr": 0.1}),
        ("other-backend", {"backend": "tensorflow"}),
    ):
        write_record(runs / name, **full | other)
    assert len(seeds_of_full_runs(read_records(runs))) == 4
    expected = "2 runs with seeds 0, 1, final accuracy, mean and spread, 80.00 % (80.00, 80.00)."
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
    headline = texts.headline(records, runs)
    assert headline == (
        "**93.00 %** test accuracy after the last of 3 epochs, in 3 minutes on a CPU (test, 2 "
        "cores). The student's submission of 2019 ended at 90.24 % after 93 minutes (best epoch "
        "90.36 %)."
    )
    assert "JPEG" not in headline + texts.results(records) + texts.status(records)
    write_record(runs / "again", accuracy=0.9, **FULL, **{"recipe.name": "seed-2019"})
    headline = texts.headline(read_records(runs), runs)
    assert headline.endswith("90.36 %); its recipe, repeated here, ends at 90.00 %.")


def test_a_jpeg_copy_is_named_and_not_held_against_2019(runs):
    write_record(runs / "jpeg", accuracy=0.93, **FULL, **JPEG)
    records = read_records(runs)
    headline = texts.headline(records, runs)
    assert "JPEG copy" in headline and "must not be compared" in headline
    assert "90." not in headline
    assert "on a JPEG copy of the images" in texts.status(records)
    _, remark, _ = remarks(runs)
    assert remark.startswith("² jpeg: ") and "**The images were a JPEG copy**" in remark
    assert "must not be compared" in remark and "above the best epoch" not in remark


def test_the_figure_stands_under_the_headline_with_its_own_description(runs):
    write_record(runs / "ours", accuracy=0.93, **FULL)
    records = read_records(runs)
    assert "](" not in texts.headline(records, runs)
    note = description("Accuracy [%]: 93")
    Image.new("RGB", (9, 9)).save(runs / "headline.png", pnginfo=note)
    _, picture, caption = texts.headline(records, runs).split("\n\n")
    assert picture == "![Accuracy \\[%\\]: 93](runs/headline.png)"
    assert caption == "Test accuracy by epoch, right the last epochs larger."
    Image.new("RGB", (9, 9)).save(runs / "headline.png", pnginfo=description("Grad-CAM"))
    assert "evidence" in texts.headline(records, runs).split("\n\n")[2]


def test_without_a_full_run_the_headline_says_so(runs):
    missing = "A full run of this repository is not recorded yet."
    assert texts.headline(read_records(runs), runs) == missing
    write_record(runs / "quick")
    assert texts.headline(read_records(runs), runs) == missing


def test_ours_is_held_against_the_recipe_of_2019_on_the_same_images(runs):
    recipe = {"recipe.name": "seed-2019", "recipe.schedule": "seed_triangle"}
    write_record(runs / "ours", accuracy=0.93, **FULL)
    write_record(runs / "repeated", accuracy=0.9, **FULL, **recipe)
    low, high = difference_interval((9300, 10_000), (9000, 10_000))
    against = next(one for one in remarks(runs) if "same code, same data" in one)
    assert "ours ends at 93.00 %, repeated at 90.00 %: +3.00 points" in against
    assert f"(95 % interval {100 * low:+.2f} to {100 * high:+.2f}" in against
    assert "The log of the submission ends at 90.24 %: its recipe" in against
    low, high = difference_interval((9000, 10_000), (9024, 10_000))
    assert f"by -0.24 points ({100 * low:+.2f} to {100 * high:+.2f})" in against
    assert "| recipe of 2019, repeated here ³ | **90.00 %**" in texts.results(read_records(runs))


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
    assert "best epoch of 2019" not in texts.results(read_records(runs))
    write_record(runs / "full", full_result=True)  # its best epoch has 90 %
    assert remarks(runs)[1].endswith("It did not pass the best epoch of 2019.")
    path = runs / "full" / "history.csv"
    path.write_text(path.read_text().replace(",0.9\n", ",0.95\n"))
    path = path.with_name("run.json")
    path.write_text(path.read_text().replace('"accuracy": 0.9}', '"accuracy": 0.95}'))
    expected = "It was above the best epoch of 2019 for the first time after epoch 2, 2 minutes."
    assert remarks(runs)[1].endswith(expected)


def test_the_time_of_an_epoch_is_said_with_its_spread(runs):
    """The sum alone would count what else the machine did."""
    write_record(runs / "shared")
    for name, slow in (("history.csv", ("60.0", "1260.0")), ("run.json", ("180.0", "1380.0"))):
        path = runs / "shared" / name
        path.write_text(path.read_text().replace(*slow, 1))
    assert "; an epoch took 60 (60 to 1,260) s; best epoch" in remarks(runs)[1]


def test_status_and_log_show_the_last_epoch(tmp_path):
    write_record(tmp_path / "runs" / "quick")
    records = read_records(tmp_path / "runs")
    status = texts.status(records)
    assert "Val Acc: **80.00%** (last epoch of quick; " in status and "not the full" in status
    lines = texts.epoch_log(records).splitlines()
    assert lines[lines.index(EPOCH_HEADER) + 3] == format_epoch_row(records[0].history[2])
    assert lines[0] == "<details open>" and lines[-1] == "</details>"
    assert "after the last epoch: 800 of 1,000 test images right, accuracy 0.8000" in lines


def test_curves_are_shown_above_the_log_once_they_are_drawn(runs):
    ours = write_record(runs / "ours", **FULL)
    other = write_record(runs / "other", **FULL, **{"recipe.name": "seed-2019"})
    assert texts.epoch_log(read_records(runs)).startswith("<details open>")
    for folder in (ours, other):
        note = description(f"Curves of {folder.name}")
        Image.new("RGB", (9, 9)).save(folder / "curves.png", pnginfo=note)
    records = read_records(runs)
    block = texts.epoch_log(records)
    assert block.startswith("![Curves of ours](runs/ours/curves.png)\n\n<details open>")
    assert "Curves of other" not in block  # all of them stand in runs/README.md
    block = texts.all_runs(records)
    assert "![Curves of other](other/curves.png)\n\nother, in front of 2019-submission." in block
    assert "\n\nours, in front of 2019-submission and other." in block


def test_range_tests_are_shown_with_all_runs(runs):
    write_record(runs / "ours")
    note = description("Loss against learning rate")
    Image.new("RGB", (9, 9)).save(runs / "ours" / "range_test.png", pnginfo=note)
    block = texts.all_runs(read_records(runs))
    picture = "![Loss against learning rate](ours/range_test.png)"
    assert block.endswith(f"{picture}\n\nA range test of the network of ours.")


def test_heatmap_figure_is_shown_once_it_exists(tmp_path):
    folder = write_record(tmp_path / "runs" / "quick")
    assert "](" not in texts.heatmaps(read_records(tmp_path / "runs"))
    (folder / "gradcam.png").write_bytes(b"png")
    block = texts.heatmaps(read_records(tmp_path / "runs"))
    assert block.startswith("![Grad-CAM heatmaps over test images, with")  # it keeps no other text
    assert "](runs/quick/gradcam.png)" in block and "not the full result" in block


def test_badges_name_what_the_set_up_demands():
    line = texts.badges("", "a.ipynb")
    assert line.startswith("Python 3.10 to 3.13 · Keras 3.10 or newer on TensorFlow or JAX")
    assert "[MIT license](LICENSE)" in line and "Colab" not in line
    linked = texts.badges("someone/some-course", "a.ipynb")
    assert "github/someone/some-course/blob/main/a.ipynb" in linked and "\n" not in linked


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
