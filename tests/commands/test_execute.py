"""The notebook runner on tiny notebooks; each run is a process of its own, as in `make run`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.commands.execute import describe_record, main, read_notebook
from utils.commands.notebook_run import cell_titles
from utils.html.notebook import standalone_html

ROOT = Path(__file__).resolve().parents[2]
# What compiled libraries do at start-up: write to the file descriptor, past sys.stderr.
NOISE = "import os; _ = os.write(2, b'cuda not found')"


def save(folder, *cells):
    cells = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number}"
    nbformat.write(new_notebook(cells=cells), folder / "tiny.ipynb")


def start(folder, *options, stderr=subprocess.PIPE, **variables):
    """Starts the runner in a folder, with a registered kernel that would fail if it were used."""
    kernel = folder / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True, exist_ok=True)
    spec = {"argv": ["false"], "display_name": "another", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PATH": str(folder / "jupyter")}
    environment |= {"HOME": str(folder / "home"), "MPLBACKEND": "Agg", **variables}
    environment.pop("ASSIGNMENT_OUTPUT", None)
    return subprocess.Popen(
        [sys.executable, "-m", "utils.commands.execute", "tiny.ipynb", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def run(folder, *options):
    process = start(folder, *options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def outputs(path):
    return [c.get("outputs") for c in nbformat.read(path, as_version=4).cells]


class Loads(HTMLParser):
    """Collects what a browser fetches when it opens a page, embedded data apart."""

    def __init__(self, page):
        super().__init__()
        self.found = re.findall(r"url\(\s*['\"]?(?!data:|#)[^)]*|@import[^;]*", page)
        self.found += re.findall(r"\bimport\b[^;\n]*https?://[^;\n]*", page)
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            fetched = name in ("src", "srcset", "data", "poster") or (name, tag) == ("href", "link")
            if fetched and value and not value.startswith("data:"):
                self.found.append(value)


def test_run_saves_everything_and_says_so(tmp_path):
    figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    paths = "import os, sys\nprint(sys.executable)\nprint(os.environ['ASSIGNMENT_OUTPUT'])"
    save(tmp_path, new_markdown_cell("# Tiny\ntext\n## Figure *one*"), figure, NOISE, paths)
    (tmp_path / "home").mkdir()
    status, out, err = run(tmp_path, "--output", "results/of run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "[ 1/3] Figure *one*"
    assert re.fullmatch(r"\[ 1/3\] done in \d+\.\d s", lines[1])
    assert lines[2] == "[ 2/3] Figure *one* (2)"
    assert lines[5:7] == [sys.executable, "results/of run"]
    assert "Results: results/of run/tiny.ipynb and results/of run/tiny.html" in lines[-2]
    assert lines[-1].startswith("No run record in results/of run")

    _, first, second, third = outputs(tmp_path / "results/of run/tiny.ipynb")
    assert "image/png" in first[-1].data and second == []
    assert [output.output_type for output in third] == ["stream"]
    page = (tmp_path / "results/of run/tiny.html").read_text()
    assert "data:image/png;base64," in page and Loads(page).found == []
    assert sorted(path.name for path in (tmp_path / "results/of run").iterdir()) == [
        ".cache",
        "tiny.html",
        "tiny.ipynb",
    ]
    assert list((tmp_path / "home").iterdir()) == []


def test_failing_cell(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tiny.html").write_text("earlier result")
    heading = new_markdown_cell("## Second")
    save(tmp_path, "print('fine')", heading, "raise ValueError('got 3')", "7")
    status, out, err = run(tmp_path)
    assert status == 1 and "fine" in out
    assert err.startswith("Cell 2 of 3 (Second) failed:\n") and "\x1b" not in err
    assert err.splitlines()[-2:] == [
        "ValueError: got 3",
        "The notebook up to there: build/tiny.partial.ipynb",
    ]
    first, _, second, third = outputs(tmp_path / "build/tiny.partial.ipynb")
    assert first[0].text == "fine\n" and second[0].ename == "ValueError" and third == []
    assert (tmp_path / "build" / "tiny.html").read_text() == "earlier result"


def test_dead_kernel(tmp_path):
    save(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    status, _, err = run(tmp_path)
    assert status == 1 and "Cell 1 of 1 (import os, signal) ended the Python process" in err
    assert (tmp_path / "build" / "tiny.partial.ipynb").exists()


DEAD = """
import sys
from utils.commands import execute, notebook_run
spec = notebook_run.KernelSpec(argv=[sys.executable, "-c", "exit(1)"], language="python")
notebook_run.KernelSpec = lambda **_: spec
sys.exit(execute.main())
"""


def test_a_kernel_that_does_not_start_ends_in_one_line(tmp_path):
    save(tmp_path, "1")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("ASSIGNMENT_OUTPUT", None)
    command = [sys.executable, "-c", DEAD, "tiny.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("The start of the kernel ended the Python process (Kernel died")


def test_help_shows_a_folder_with_a_percent_sign(monkeypatch, capsys):
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", "%USERPROFILE%/build")
    monkeypatch.setattr(sys, "argv", ["execute", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "%USERPROFILE%/build" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["raise", "pass"])
def test_output_is_shown_at_once_and_interruption_ends_the_run(tmp_path, ending):
    """`pass`: the cell takes the interruption itself, as training does that ends in good order."""
    cell = "print('epoch 1', flush=True)\n    time.sleep(60)\nexcept KeyboardInterrupt:"
    save(tmp_path, f"import time\ntry:\n    {cell}\n    {ending}", "print('next')")
    process = start(tmp_path)
    seen = [process.stdout.readline() for _ in range(2)]  # while the cell still sleeps
    assert seen == ["[ 1/2] import time\n", "epoch 1\n"]
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - began < 20
    assert err.startswith("Cell 1 of 2 (import time) was interrupted.\n") and "next" not in out
    first, second = outputs(tmp_path / "build/tiny.partial.ipynb")
    assert first[0].text == "epoch 1\n" and second == []


def test_inplace_changes_outputs_only(tmp_path):
    save(tmp_path, new_markdown_cell("# Title"), "1 + 1", "print('x')")
    before = nbformat.read(tmp_path / "tiny.ipynb", as_version=4)
    before.metadata = {"language_info": {"name": "python", "version": "3.8.1"}, "colab": {"a": 1}}
    before.cells[1].metadata.tags = ["nbval-check-output"]
    nbformat.write(before, tmp_path / "tiny.ipynb")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tiny.partial.ipynb").touch()
    assert run(tmp_path, "--inplace")[0] == 0
    text = (tmp_path / "tiny.ipynb").read_text()
    after = json.loads(text)
    assert after["metadata"] == {
        "colab": {"a": 1},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    assert [cell["id"] for cell in after["cells"]] == ["c0", "c1", "c2"]
    tags = {"tags": ["nbval-check-output"]}
    assert [cell["metadata"] for cell in after["cells"]] == [{}, tags, {}]
    assert [cell.get("execution_count") for cell in after["cells"]] == [None, 1, 2]
    assert str(tmp_path) not in text
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == [".cache", "tiny.html"]
    assert run(tmp_path, "--inplace")[0] == 0
    assert (tmp_path / "tiny.ipynb").read_text() == text


def test_titles():
    notebook = new_notebook(
        cells=[
            new_code_cell("\n#@title Settings\nx = 1"),
            new_markdown_cell("# Top\n## Data\nSome words."),
            new_markdown_cell("More words, no heading."),
            new_code_cell("load()"),
            new_code_cell(""),
            new_code_cell("# Paint " + "y" * 100 + "\nx = 1"),
            new_markdown_cell("Words between two cells."),
            new_code_cell("x = 2"),
            new_markdown_cell("## Model"),
            new_code_cell("# Built\nx = 3"),
        ]
    )
    expected = {
        0: "@title Settings",
        3: "Data",
        5: "Paint " + "y" * 63 + "...",
        7: "Data (3)",
        9: "Model",
    }
    assert cell_titles(notebook) == expected and list(cell_titles(notebook)) == [*expected]


def test_images_on_other_servers_give_way_to_their_text():
    words = "![Open in *Colab*](https://example.org/a.svg) <img src='//example.org/b.png'>"
    page = standalone_html(new_notebook(cells=[new_markdown_cell(f"{words} end $x$")]), "tiny")
    assert "Open in" in page and " end " in page and "<title>tiny</title>" in page
    assert "example.org" not in page and Loads(page).found == []


def test_the_check_for_loads_can_fail():
    """nbconvert's own page, which this project does not use, loads three scripts."""
    page = HTMLExporter().from_notebook_node(new_notebook(cells=[new_markdown_cell("text")]))[0]
    assert len(Loads(page).found) >= 2


RECORD = {"full_result": True, "profile": "full", "data": {"source": "CIFAR-10"}}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RECORD, "This is the full result: profile full, data: CIFAR-10."),
        ({**RECORD, "full_result": False}, "Not the full result: profile full, data: CIFAR-10."),
        ({"profile": "full"}, "The run record .* cannot be used .*full_result"),
        ({**RECORD, "data": None}, "The run record .* cannot be used .TypeError"),
    ],
)
def test_record(tmp_path, record, expected):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    assert re.match(expected, describe_record(tmp_path, since=0))


def test_newest_record_counts_and_an_earlier_run_is_called_so(tmp_path):
    for name, modified in (("a", 2000), ("b", 1000)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "run.json"
        path.write_text(json.dumps({**RECORD, "profile": name}))
        os.utime(path, (modified, modified))
    expected = "This is the full result: profile a, data: CIFAR-10"
    assert describe_record(tmp_path, since=1999) == f"{expected}."
    assert describe_record(tmp_path, since=2001) == f"{expected}; from an earlier run."


@pytest.mark.parametrize(
    ("content", "expected"), [("no JSON", "tiny.ipynb was not executed: "), (None, "No such file")]
)
def test_unusable_notebook(tmp_path, monkeypatch, capsys, content, expected):
    path = tmp_path / "tiny.ipynb"
    if content:
        path.write_text(content)
    monkeypatch.setattr(sys, "argv", ["execute", str(path), "--output", str(tmp_path / "build")])
    assert main() == 1
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_the_source_is_not_overwritten_by_chance(tmp_path, monkeypatch, capsys):
    path = tmp_path / "tiny.ipynb"
    monkeypatch.setattr(sys, "argv", ["execute", str(path), "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "would be overwritten" in capsys.readouterr().err


PROGRESS = """import os, time
from utils.progress import Progress
live = Progress()
for step in range(8):
    live.show(f"step {step} of 8")
    time.sleep(0.2)
live.clear()
print("ASSIGNMENT_PROGRESS" in os.environ)"""


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_of_a_cell_is_shown_on_a_terminal_and_never_kept(tmp_path, terminal):
    save(tmp_path, PROGRESS)
    ours, theirs = os.openpty()
    process = start(tmp_path, stderr=theirs if terminal else subprocess.PIPE)
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    while terminal:
        try:
            piece = os.read(ours, 1000)
        except OSError:  # the end, on Linux
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.returncode == 0 and "step" not in out
    assert (b"step" in shown) == terminal
    (kept,) = outputs(tmp_path / "build" / "tiny.ipynb")
    assert [output["text"] for output in kept] == [f"{terminal}\n"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"3", b"{}", b'{"cells": 3}', b"[" * 100_000])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "other.ipynb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="other.ipynb is no notebook .*restore it"):
        read_notebook(path)
