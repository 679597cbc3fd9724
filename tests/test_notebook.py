"""The committed notebook: how it is written, how it was executed, and how it opens alone."""

import json
import os
import re
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from utils.records.weights import shipped_record
from utils.records.write import summary

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "Assignment4B.ipynb"
CONTENT = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
CODE = [cell for cell in CONTENT["cells"] if cell["cell_type"] == "code"]
OUTPUTS = [output for cell in CODE for output in cell["outputs"]]


def source(cell):
    return "".join(cell["source"])


def printed():
    return "".join("".join(out["text"]) for out in OUTPUTS if out["output_type"] == "stream")


def test_was_executed_from_top_to_bottom_without_errors_and_noise():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert {output["output_type"] for output in OUTPUTS} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert {output.get("name", "stdout") for output in OUTPUTS} == {"stdout"}
    assert "\r" not in printed() and not re.search(r"(?i)\bwarning", printed())


def test_holds_no_widget_no_script_and_stays_small():
    kinds = {kind for output in OUTPUTS for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "image/png", "image/jpeg"}
    assert NOTEBOOK.stat().st_size < 1.5e6


def test_every_figure_is_shown_once_and_described():
    pictures = [out for out in OUTPUTS if set(out.get("data", {})) & {"image/png", "image/jpeg"}]
    assert len(pictures) >= 12
    for picture in pictures:
        assert len(set(picture["data"]) & {"image/png", "image/jpeg"}) == 1


def test_cells_are_short_and_the_story_is_longer_than_the_code():
    for cell in CODE:
        lines = source(cell).splitlines()
        assert len(lines) <= 15, source(cell)
        assert max(map(len, lines)) <= 100
    words = {"code": 0, "markdown": 0}
    for cell in CONTENT["cells"]:
        words[cell["cell_type"]] += len(source(cell).split())
    assert words["markdown"] > words["code"]


def test_text_reads_everywhere():
    text = "\n".join(source(cell) for cell in CONTENT["cells"])
    assert not re.search(r"\$[^$\n]+\$", text), "no LaTeX: the HTML page cannot render it"
    assert "import *" not in text
    assert not re.search(r"/(home|root|tmp|work|Users)/", text + printed())


def test_names_what_produced_its_result_and_that_is_a_record():
    records = [json.loads(path.read_text()) for path in (ROOT / "runs").glob("*/run.json")]
    matching = [run for run in records if not run.get("source") and summary(run) in printed()]
    assert len(matching) == 1, "commit the record of the run whose outputs the notebook shows"
    for key in ("backend", "device", "precision", "profile"):
        assert matching[0][key] in printed()


def test_heatmaps_and_test_results_are_those_of_the_shipped_weights():
    """The notebook counts the test images itself; the record of the weights agrees."""
    shipped = shipped_record(ROOT / "runs")
    assert shipped is not None
    final, text = shipped.run["final"], printed()
    if summary(shipped.run) not in text:  # it trained another network, shortly, and loaded this one
        assert f"the weights of {shipped.name} " in text
        assert f"On record: {final['accuracy']:.2%} of {shipped.run['data']['source']}" in text
    counted = text[text.index("From here on: ") :]
    right, images = re.search(r"([\d,]+) of ([\d,]+) test images right", counted).groups()
    assert int(images.replace(",", "")) == final["images"]
    assert abs(int(right.replace(",", "")) - final["correct"]) <= 15


def numbers_in(line):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


def test_the_map_beats_every_baseline_by_more_than_chance_explains():
    """The table of insertion and deletion: each lead is larger than half its 95 % interval."""
    text = printed()
    assert int(re.search(r"(\d+) images; \+- is half the width", text)[1]) >= 500
    for baseline in ("random", "center", "edges"):
        line = re.search(rf"^ *{baseline}  .*\+-.*$", text, re.MULTILINE)[0]
        _, _, insertion, insertion_margin, _, _, deletion, deletion_margin = numbers_in(line)
        assert insertion > insertion_margin > 0, line
        assert deletion > deletion_margin > 0, line


def test_the_map_points_at_the_painted_object_and_random_weights_do_not():
    text = printed()
    assert int(re.search(r"(\d+) painted shapes", text)[1]) >= 1000
    rows = {
        name: numbers_in(re.search(rf"^ *{name}  .* times$", text, re.MULTILINE)[0])
        for name in ("trained weights", "random weights", "center", "edges", "by area")
    }
    _, hull, heat = rows["trained weights"]
    assert hull >= 95 and heat >= 3
    assert hull > max(rows["center"][1], rows["edges"][1])
    chance = rows["by area"]
    assert abs(rows["random weights"][1] - chance[1]) < 8
    assert abs(rows["random weights"][2] - chance[2]) < 0.25


def test_checked_cells_do_not_depend_on_profile_backend_or_data():
    # Variables of those names, not the modules utils.data, utils.model and so on.
    changing = r"(?<![\w.])(settings|recipe|data|model|network|runtime)\b[.\[(]"
    checked = [c for c in CODE if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert len(checked) >= 4
    for cell in checked:
        assert not re.search(changing, source(cell))
    assert "1,673,738" in "".join("".join(o.get("text", "")) for c in checked for o in c["outputs"])


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A folder in which the notebook has been opened alone; runs its first two cells."""
    monkeypatch.chdir(tmp_path)

    def run(repository=""):
        scope = {}
        for cell in CODE[:2]:
            text = f'REPOSITORY = "{repository}"'
            exec(re.sub('REPOSITORY = ".*?"', text, source(cell), count=1), scope)
        return Path.cwd().relative_to(tmp_path.resolve()).as_posix()

    return run


def pack(path, time, mark="", root="repository-main"):
    """A ZIP file of the repository as GitHub makes it, uploaded at a time (seconds)."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}/utils/settings.py", f"mark = {mark!r}")
        archive.writestr(f"{root}/utils/data/sources.py", "# " + "x" * 1000)
    os.utime(path, (time, time))
    return path


def test_opened_alone_it_unpacks_the_uploaded_repository(alone, tmp_path, monkeypatch, capsys):
    pack(tmp_path / "repository-main.zip", 1e9)
    assert alone() == "course/repository-main"
    assert capsys.readouterr().out == "ready\n"
    assert alone() == "course/repository-main"  # run again, it stays where it is
    monkeypatch.chdir(tmp_path)  # a restart of the kernel
    assert alone() == "course/repository-main"


@pytest.mark.parametrize("root", ["repository-main", "repository-corrected"])
@pytest.mark.parametrize("names", [("a.zip", "b.zip"), ("b.zip", "a.zip")])
def test_of_two_uploads_the_newest_is_taken(alone, tmp_path, monkeypatch, root, names):
    pack(tmp_path / names[0], 1e9, "old")
    assert alone() == "course/repository-main"
    monkeypatch.chdir(tmp_path)
    pack(tmp_path / names[1], 1.1e9, "new", root)
    assert alone() == f"course/{root}"
    assert Path("utils/settings.py").read_text() == "mark = 'new'"


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_upload_is_named_and_an_older_sound_one_taken(alone, tmp_path, capsys, damage):
    pack(tmp_path / "repository-main.zip", 1e9, "sound")
    path = pack(tmp_path / "repository-main (1).zip", 1.1e9, "damaged")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-100]
    else:
        content[content.index(b"x" * 100)] ^= 1  # only the checksum can tell
    path.write_bytes(content)
    assert alone() == "course/repository-main"
    assert Path("utils/settings.py").read_text() == "mark = 'sound'"
    out = capsys.readouterr().out
    assert out.startswith("Passed over repository-main (1).zip, which is damaged or not complete")
    assert out.count("\n") == 2 and out.endswith("ready\n")


def test_other_archives_are_left_alone(alone, tmp_path):
    with zipfile.ZipFile(tmp_path / "holiday.zip", "w") as archive:
        archive.writestr("beach.jpg", "x")
        archive.writestr("myutils/settings.py", "x")
    pack(tmp_path / "repository-main.zip", 1e9)
    assert alone() == "course/repository-main"
    assert [path.name for path in (tmp_path / "course").iterdir()] == ["repository-main"]


def test_inside_the_repository_nothing_is_unpacked(alone, tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/settings.py").touch()
    pack(tmp_path / "repository-main.zip", 1e9)
    assert alone("owner/name") == "."
    assert not (tmp_path / "course").exists()


def test_opened_alone_without_the_repository_it_says_where_and_what_to_do(
    alone, tmp_path, monkeypatch
):
    local = f"not in {re.escape(os.getcwd())}: open the notebook in its folder, or put its ZIP file"
    with pytest.raises(FileNotFoundError, match=local):
        alone()
    monkeypatch.setitem(sys.modules, "google.colab", object())
    with pytest.raises(FileNotFoundError, match="drop its ZIP file on the folder icon, left"):
        alone()
    pack(tmp_path / "repository-main.zip", 1e9)
    assert alone() == "course/repository-main"  # the advice helps


def test_opened_alone_with_a_known_address_it_clones_once(alone, tmp_path, monkeypatch):
    calls = []

    def clone(command):
        calls.append(command)
        (tmp_path / "course" / "utils").mkdir(parents=True)
        (tmp_path / "course" / "utils" / "settings.py").touch()

    monkeypatch.setattr("subprocess.run", clone)
    for _ in range(2):
        monkeypatch.chdir(tmp_path)
        assert alone("owner/name") == "course"
    assert calls == [["git", "clone", "--depth=1", "https://github.com/owner/name", "course"]]


def test_what_is_missing_is_installed_by_the_repositorys_own_list(alone, tmp_path, monkeypatch):
    calls = []
    pack(tmp_path / "repository-main.zip", 1e9)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "cv2" else name)
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append(command))
    alone()
    assert [command[1:] for command in calls] == [
        ["-m", "pip", "install", "-qr", "requirements.txt"]
    ]
    assert (ROOT / "requirements.txt").is_file()


def test_a_kernel_finds_the_unpacked_modules(tmp_path):
    """Kernels import from the present folder, also after the cells have changed it."""
    pack(tmp_path / "repository-main.zip", 1e9, "unpacked")
    cells = [nbformat.v4.new_code_cell(source(cell)) for cell in CODE[:2]]
    cells.append(nbformat.v4.new_code_cell("from utils.settings import mark\nprint(mark)"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": tmp_path}}).execute()
    assert notebook.cells[-1].outputs[0].text == "unpacked\n"
