"""The command that renews README and notebook from the records."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from sample_records import write_record

from utils.commands import report
from utils.figures.style import read_texts
from utils.records.pages import NOTEBOOK, PAGES, make_blocks
from utils.records.read import ROOT, SUBMISSION
from utils.records.studies import write_study
from utils.training.run_folder import write_json

FULL = {"full_result": True, "images": 10_000, "epochs": 50}
JPEG = {"data.source": "CIFAR-10, image folder (JPEG)", "data.content_hash": "1" * 64}
OF_2019 = {"recipe.name": "seed-2019", "recipe.schedule": "seed_triangle"}


@pytest.fixture
def project(tmp_path):
    """A small copy of the repository: README, notebook, one record."""
    write_record(tmp_path / "runs" / "quick")
    names = make_blocks(tmp_path / "runs", "")
    blocks = "\n".join(f"<!-- generated:{n} -->\nSTALE\n<!-- /generated:{n} -->\n" for n in names)
    (tmp_path / "README.md").write_text(f"# Title\n{blocks}\nend\n")
    (tmp_path / "runs" / "README.md").write_text(blocks)
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
    (tmp_path / NOTEBOOK).write_text(json.dumps(notebook))
    return tmp_path


def test_command_renews_and_checks(project, capsys):
    assert report.main(["--check"], project) == 1
    assert "+Model: **ResNet20v2**" in capsys.readouterr().out
    assert "STALE" in (project / "README.md").read_text(), "--check must write nothing"
    assert report.main([], project) == 0
    text = (project / "README.md").read_text()
    assert "STALE" not in text and text.startswith("# Title\n") and text.endswith("\nend\n")
    notebook = json.loads((project / NOTEBOOK).read_text())
    assert "one-cycle, quick profile" in "".join(notebook["cells"][0]["source"])
    assert "**quick**" in (project / "runs" / "README.md").read_text()
    assert notebook["cells"][0]["source"][0] == "# Tïtle\n"
    assert report.main(["--check"], project) == 0
    (project / "README.md").write_text(text.replace("80.00%", "81.00%"))
    assert report.main(["--check"], project) == 1


def test_command_enters_the_address_everywhere(project):
    assert report.main(["--repository", "someone/course"], project) == 0
    notebook = json.loads((project / NOTEBOOK).read_text())
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


@pytest.fixture
def course(tmp_path):
    """The pages of the repository, and of its records only that of 2019."""
    shutil.copytree(ROOT / "runs" / SUBMISSION, tmp_path / "runs" / SUBMISSION)
    for name in (*PAGES, NOTEBOOK):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def renewed(course):
    """README after a report that leaves nothing to renew, and the sentence of the result."""
    assert report.main([], course) == 0
    assert report.main(["--check"], course) == 0
    readme = (course / "README.md").read_text()
    assert len(readme.splitlines()) < 400
    log = readme.partition("<details open>")[2].partition("</details>")[0]
    assert len(re.findall(r"^ +\d+ +0\.5000 .* 0\.\d{4}$", log, re.MULTILINE)) == 50
    headline = readme.partition("<!-- generated:headline -->")[2].partition("![")[0]
    return readme, headline


def test_pages_while_there_is_only_a_run_on_a_jpeg_copy(course):
    folder = write_record(course / "runs" / "copied", accuracy=0.91, **FULL, **JPEG)
    Image.fromarray(np.zeros((200, 900, 3), "uint8")).save(folder / "first_look.png")
    _, headline = renewed(course)
    assert "**91.00 %**" in headline and "must not be compared" in headline
    assert "90." not in headline
    alt = read_texts(course / "runs" / "headline.png")["Description"]
    assert "JPEG copy of the images 91.00 %; submission of 2019 90.24 %" in alt


def test_pages_once_the_original_images_were_trained_on(course):
    write_record(course / "runs" / "ours", accuracy=0.93, **FULL)
    study = course / "runs" / "studies" / "jpeg-copy"
    write_record(study / "ours", accuracy=0.91, **FULL, **JPEG)
    plan = {"title": "What the JPEG copy costs", "runs": ["ours", "../../ours"]}
    (study / "study.json").write_text(json.dumps(plan))
    readme, headline = renewed(course)
    assert "**93.00 %**" in headline
    assert "2019 ended at 90.24 % after 93 minutes (best epoch 90.36 %)" in headline
    assert "repeated here" not in headline and "JPEG" not in headline
    assert "| What the JPEG copy costs (scaled down: ResNet20v2, 50 epochs) |" in readme
    assert "JPEG" not in read_texts(course / "runs" / "headline.png")["Description"]


def test_pages_once_everything_is_recorded(course, capsys):
    write_record(course / "runs" / "ours", accuracy=0.93, **FULL)
    again = write_record(course / "runs" / "again", accuracy=0.89, **FULL, **OF_2019)
    fixes = course / "runs" / "studies" / "fixes"
    write_study(fixes, "What each fix is worth", {f"fix-{n}": f"+ fix {n}" for n in range(10)})
    for n in range(10):
        write_record(fixes / f"fix-{n}-seed-0", **{"recipe.depth": 56})
    fault = {"fault": "x", "tries": 2, "survived": 2, "seconds": 1.0, "note": "", "failures": []}
    groups = ("kills", "files", "disk", "fuzz", "hostile")
    place = {"seconds": 9.0, "device": "CPU", "versions": {}, "git_commit": "0" * 40}
    faults = {"faults": [fault | {"group": name} for name in groups]} | place
    (course / "runs" / "faults").mkdir()
    write_json(course / "runs" / "faults" / "faults.json", faults)
    readme, headline = renewed(course)
    assert headline.strip().endswith("its recipe, repeated here, ends at 89.00 %.")
    alt = read_texts(course / "runs" / "headline.png")["Description"]
    assert "submission of 2019 90.24 %; its recipe, repeated here 89.00 %" in alt
    assert "| the disk is full, or a limit on the size of files is reached | 2 | 2 |" in readme
    assert "| + fix 9 | 1 | 80.00 % | +0.00 |" in readme
    assert "again, in front of 2019-submission" in (course / "runs/README.md").read_text()
    path = again / "run.json"  # a figure of a record that has changed is no longer up to date
    path.write_text(path.read_text().replace("573738", "573739"))
    capsys.readouterr()
    assert report.main(["--check"], course) == 1
    assert "runs/headline.png does not show its records." in capsys.readouterr().out
