"""The command that renews README and notebook from the records."""

import json

import pytest
from sample_records import write_record

from utils.commands import report
from utils.records.pages import NOTEBOOK, make_blocks


@pytest.fixture
def project(tmp_path):
    """A small copy of the repository: README, notebook, one record."""
    write_record(tmp_path / "runs" / "quick")
    names = make_blocks(tmp_path / "runs", "")
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
    assert "**quick**" in "".join(notebook["cells"][0]["source"])
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
