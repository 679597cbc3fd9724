"""The simulated Colab, without Colab's packages: what it compares, and when it is skipped."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COLAB = ROOT / "scripts" / "colab"


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(monkeypatch, tmp_path):
    """The program, which makes its environments in a folder for tests."""
    module = load(COLAB / "check.py")
    build = tmp_path / "build" / "colab"
    monkeypatch.setattr(module, "BUILD", build)
    return module


def command(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_not_there_is_the_reason_to_skip(check, capsys):
    assert check.main("no-such-python3.12") == 0
    expected = "Skipped: no-such-python3.12 cannot be started (No such file or directory).\n"
    assert capsys.readouterr().out == expected


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
def test_a_python_that_cannot_make_environments_is_the_reason_to_skip(check, tmp_path, capsys):
    python = command(tmp_path / "python", "echo 'No module named ensurepip' >&2; exit 1")
    assert check.main(python) == 0
    assert "cannot make environments (No module named ensurepip)." in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
def test_packages_that_cannot_be_had_are_the_reason_to_skip(check, tmp_path, capsys):
    binary = tmp_path / "build" / "colab" / "3.12" / "bin"
    binary.mkdir(parents=True)
    command(binary / "python", "echo 'ERROR: No matching distribution for numpy' >&2; exit 1")
    assert check.main(command(tmp_path / "python", "echo 3.12")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    words = "pip cannot install Colab's packages: ERROR: No matching distribution for numpy"
    assert last == f"Skipped: {words}."


def test_only_a_missing_package_may_have_come(check):
    before = {"numpy": "2.0.2", "keras": "3.13.2"}
    assert check.package_faults(before, before) == []
    assert check.package_faults(before, {**before, "tabulate": "1"}, ["tabulate"]) == []
    assert check.package_faults(before, before, ["tabulate"]) == ["tabulate is still missing"]
    after = {"numpy": "2.5", "ruff": "1"}
    faults = ["keras was 3.13.2 and is gone", "numpy was 2.0.2 and is 2.5"]
    faults.append("ruff was not there and is 1")
    assert check.package_faults(before, after, []) == faults


@pytest.fixture
def left_behind(tmp_path):
    """A working folder as a good run leaves it, and what the notebook printed."""
    folder = tmp_path / "content"
    run = folder / "build" / "smoke"
    run.mkdir(parents=True)
    (folder / "course-0123abcd").mkdir()
    for name in ("Assignment4B.ipynb", "repository-main.zip", "build/smoke/run.json"):
        (folder / name).touch()
    (run / "model.keras").touch()
    text = f"The modules are those in {folder}/course-0123abcd; results go to {folder}/build.\n"
    text += "ready\n  1,024.1 kB  model.keras\n  1.0 kB  run.json\n"
    return folder, f"{text}downloaded {run / 'model.keras'}\n"


def test_a_good_run_has_no_faults(check, left_behind):
    folder, text = left_behind
    assert check.result_faults(text, folder) == []


@pytest.mark.parametrize(
    "old, new, fault",
    [
        ("\nready\n", "\ninstalled tabulate\n", "do not say that nothing was missing"),
        ("\nready\n", "\nready\nYou must restart the runtime\n", "asks for a restart"),
        ("results go to", "results:", "does not say where"),
        ("run.json", "weights.npz", "the notebook lists"),
        ("downloaded", "saved", "downloaded were [], not the model"),
    ],
)
def test_a_bad_run_is_found(check, left_behind, old, new, fault):
    folder, text = left_behind
    assert old in text
    (found,) = check.result_faults(text.replace(old, new), folder)
    assert fault in found


def test_a_stray_file_is_found(check, left_behind):
    folder, text = left_behind
    (folder / "model.h5").touch()
    assert "model.h5" in check.result_faults(text, folder)[0]


def test_the_folder_holds_the_notebook_and_the_zip_file_and_nothing_else(check, tmp_path):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and the history of the repository")
    check.upload(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "Assignment4B.ipynb",
        "repository-main.zip",
    }
    assert "cells" in json.loads((tmp_path / "Assignment4B.ipynb").read_text(encoding="utf-8"))
    names = zipfile.ZipFile(tmp_path / "repository-main.zip").namelist()
    assert "repository-main/utils/settings.py" in names


def test_the_kernel_sees_colab_and_nothing_of_the_caller(check, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", "/elsewhere")
    environment = check.kernel_environment(tmp_path)
    assert "KERAS_BACKEND" not in environment and "ASSIGNMENT_OUTPUT" not in environment
    (script,) = tmp_path.rglob("startup/*.py")
    program = f"{script.read_text()}\nimport sys; print('google.colab' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "True\n", done.stderr


def test_the_stand_in_downloads_only_what_exists(tmp_path, capsys):
    files = load(COLAB / "stub/google/colab/files.py")
    (tmp_path / "model.keras").touch()
    files.download(str(tmp_path / "model.keras"))
    assert capsys.readouterr().out == f"downloaded {tmp_path / 'model.keras'}\n"
    with pytest.raises(FileNotFoundError, match="Cannot find file: nothing"):
        files.download("nothing")


def test_the_notebook_uses_nothing_of_colab_that_has_no_stand_in():
    cells = json.loads((ROOT / "Assignment4B.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    used = re.findall(r"(?:from|import) google\.colab.*|\bfiles\.\w+\(", "\n".join(texts))
    for path in (ROOT / "utils").rglob("*.py"):
        used += re.findall(r"(?m)^ *(?:from|import) google\.colab.*", path.read_text("utf-8"))
    assert used == ["from google.colab import files", "files.download("]


def test_colab_satisfies_the_lower_bounds_of_the_repository():
    """All but Jupyter, which Colab replaces; two lines of one name are for two Pythons."""
    lines = (COLAB / "packages.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w-]+)==([\d.]+)", lines, re.MULTILINE)
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition("# To write")[0]
    bounds = dict(re.findall(r"^([\w-]+)>=([\d.]+)", text, re.MULTILINE))
    bounds.pop("jupyter")
    for name, bound in bounds.items():
        versions = [pin for package, pin in pins if package.lower() == name]
        assert versions, f"Colab's list lacks {name}"
        for version in versions:
            assert [*map(int, version.split("."))] >= [*map(int, bound.split("."))], name


def test_make_passes_the_python_on():
    if shutil.which("make") is None:
        pytest.skip("needs make")
    options = ["make", "-n", "--no-print-directory", "colab-check", "PYTHON=python3.13"]
    done = subprocess.run(options, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "python3 scripts/colab/check.py python3.13\n"
