"""Rendering run records: tables, log, heatmaps, and the command that renews the pages."""

import json
import shutil

import pytest
from sample_records import write_record

from utils.records import report
from utils.records.read import ROOT, SUBMISSION, read_record, read_records
from utils.records.studies import write_study
from utils.training.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row


def test_every_row_says_what_it_is(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    write_record(runs / "quick")
    write_record(runs / "held-out", **{"data.validation": "1000 held-out images"})
    table = report.results_block(read_records(runs)).splitlines()
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
    assert "not recorded yet" not in report.results_block(read_records(runs))


def test_runs_on_painted_shapes_are_no_result_on_cifar10(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    write_record(runs / "painted", **{"data.source": "painted shapes (synthetic)"})
    records = read_records(runs)
    assert len(records) == 2
    assert "painted" not in report.results_block(records)


def test_studies_are_shown_with_table_and_figure_and_are_no_single_runs(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    assert "No study is recorded yet" in report.studies_block(runs / "studies")
    study = runs / "studies" / "letters"
    write_study(study, "Which letter?", {"a": "first", "b": "second"})
    assert "No study is recorded yet" in report.studies_block(runs / "studies")  # begun, no run
    for name in ("a-seed-0", "a-seed-1", "b-seed-0"):
        write_record(study / name)
    (study / "letters.png").touch()
    assert [record.name for record in read_records(runs)] == [SUBMISSION]
    block = report.studies_block(runs / "studies")
    assert block.startswith("### Which letter?\n\n| what | runs |")
    assert "| first | 2 | 80.00 ± 0.00 % |" in block and "| second | 1 | 80.00 % |" in block
    assert block.endswith("![Which letter?](runs/studies/letters/letters.png)")
    assert report.make_blocks(runs, "")["studies"] == block


def test_seeds_of_a_recipe_are_summed_up(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    write_record(runs / "quick")
    assert report.seeds_remarks(read_records(runs)) == []
    full = {"full_result": True, "recipe.name": "one-cycle"}
    write_record(runs / "seed-0", **full)
    assert "one seed (0), so its spread is not known" in report.results_block(read_records(runs))
    write_record(runs / "seed-1", images=10_000, **full | {"seed": 1})
    for name, other in (
        ("elsewhere", {"data.content_hash": "1" * 64}),
        ("milder", {"recipe.max_lr": 0.1}),
        ("other-backend", {"backend": "tensorflow"}),
    ):
        write_record(runs / name, **full | other)
    remarks = report.seeds_remarks(read_records(runs))
    expected = (
        "2 runs with seeds 0, 1, final accuracy 80.00 % on average, standard deviation 0.00 %."
    )
    assert len(remarks) == 4 and sum(remark.endswith(expected) for remark in remarks) == 1


def test_every_machine_of_an_interrupted_run_is_named(tmp_path):
    folder = write_record(tmp_path / "moved")
    run = json.loads((folder / "run.json").read_text())
    second = run["starts"][0] | {"epoch": 2, "compile_seconds": 0.0, "device": "GPU (Tesla T4)"}
    run["starts"].append(second)
    (folder / "run.json").write_text(json.dumps(run))
    assert "CPU (test, 2 cores) then GPU (Tesla T4)" in report.results_block([read_record(folder)])


def test_a_jpeg_copy_is_not_compared_with_the_original_images(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    write_record(runs / "full", full_result=True)
    assert report.compression_remarks(read_records(runs)) == []
    source = {"data.source": "CIFAR-10, image folder (JPEG)"}
    write_record(runs / "jpeg", full_result=True, images=2000, **source)
    records = read_records(runs)
    [remark] = report.compression_remarks(records)
    assert remark.startswith("**jpeg used a JPEG copy") and "2019" in remark
    assert report.overtaking_remarks(records) == []
    assert remark in report.results_block(records)


def test_when_the_submission_was_passed_is_said_of_a_full_run(tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(ROOT / "runs" / SUBMISSION, runs / SUBMISSION)
    write_record(runs / "quick")
    assert report.overtaking_remarks(read_records(runs)) == []
    write_record(runs / "full", full_result=True)  # its best epoch has 90 %
    [remark] = report.overtaking_remarks(read_records(runs))
    assert remark == "full did not pass the best epoch of 2019 (90.36 %)."
    path = runs / "full" / "history.csv"
    path.write_text(path.read_text().replace(",0.9\n", ",0.95\n"))
    path = path.with_name("run.json")
    path.write_text(path.read_text().replace('"accuracy": 0.9}', '"accuracy": 0.95}'))
    [remark] = report.overtaking_remarks(read_records(runs))
    assert "first time after epoch 2, 2.0 minutes" in remark


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
    names = ("results", "heatmaps", "status", "epoch-log", "studies", "colab")
    blocks = "\n".join(f"<!-- generated:{n} -->\nSTALE\n<!-- /generated:{n} -->\n" for n in names)
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
    assert "STALE" in (project / "README.md").read_text(), "--check must write nothing"
    assert report.main([], project) == 0
    text = (project / "README.md").read_text()
    assert "STALE" not in text and text.startswith("# Title\n") and text.endswith("\nend\n")
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
