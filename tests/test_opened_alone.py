"""The notebook opened alone, as in Colab: its set-up cells are run in a folder of their own."""

import ast
import io
import json
import os
import re
import shutil
import sys
import urllib.error
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
CELLS = json.loads((ROOT / "Assignment4B.ipynb").read_text(encoding="utf-8"))["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
FIRST_USE = next(i for i, text in enumerate(SOURCES) if "from utils." in text)
SETUP = SOURCES[:FIRST_USE]  # the cells before the first that imports from utils
PARTS = ast.literal_eval(re.search(r"^PARTS = (.*)$", SETUP[0], re.MULTILINE)[1])


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Runs the set-up cells as a fresh kernel does; gives the folder it ends in."""
    backend = os.environ.get("KERAS_BACKEND")
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", "")  # both as they were afterwards
    monkeypatch.setenv("KERAS_BACKEND", backend or "")
    if backend is None:
        monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr("subprocess.run", None)  # no test installs anything

    def run(repository="", start=tmp_path):
        monkeypatch.chdir(start)
        os.environ["ASSIGNMENT_OUTPUT"] = ""
        scope = {}
        for text in SETUP:
            exec(re.sub('REPOSITORY = ".*?"', f'REPOSITORY = "{repository}"', text), scope)
        return Path.cwd()

    return run


def contents(mark="", root="repository-main/"):
    """Name and text of every file in a ZIP file of the repository, as GitHub makes it."""
    files = {f"{root}{part}": f"mark = {mark!r}" for part in PARTS}
    return {**files, f"{root}Assignment4B.ipynb": "{}", f"{root}utils/data.py": "x" * 1000}


def pack(path, files, time=1e9, **options):
    """A ZIP file that was uploaded at a time (seconds since 1970)."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    os.utime(path, (time, time))
    return path


def mark():
    """Which ZIP file the modules of the present folder are from."""
    assert all(Path(part).is_file() for part in PARTS)
    return re.search("mark = '(.*)'", Path("utils/settings.py").read_text())[1]


def named(line):
    """Matches the one line that a run prints beside where the modules are and `ready`."""
    return rf"{line}\nThe modules are those in .*; results go to .*\.\nready\n"


def test_the_parts_by_which_it_is_known_are_there():
    assert len(PARTS) == 3 and all((ROOT / part).is_file() for part in PARTS)


def test_the_uploaded_repository_is_unpacked(alone, tmp_path, capsys):
    pack(tmp_path / "repository-main.zip", contents("uploaded"))
    folder = alone()
    assert mark() == "uploaded"
    assert re.fullmatch(r"course-[0-9a-f]{8}", folder.name) and folder.parent == tmp_path.resolve()
    said = f"The modules are those in {folder}; results go to {tmp_path.resolve() / 'build'}.\n"
    assert capsys.readouterr().out == f"{said}ready\n"
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {"repository-main.zip", folder.name}


def test_a_restart_finds_everything_as_it_was(alone, tmp_path, capsys):
    pack(tmp_path / "repository-main.zip", contents())
    folder = alone()
    (folder / "utils/settings.py").write_text("mark = 'edited by the student'")
    said = capsys.readouterr().out
    assert alone() == folder and mark() == "edited by the student"
    assert capsys.readouterr().out == said
    (tmp_path / "repository-main.zip").unlink()  # not needed any more
    assert alone() == folder


def test_each_cell_can_be_run_twice_in_one_kernel(alone, tmp_path, monkeypatch):
    pack(tmp_path / "repository-main.zip", contents())
    folder, output = alone(), os.environ["ASSIGNMENT_OUTPUT"]
    monkeypatch.chdir(tmp_path)
    scope = {}
    for text in SETUP:
        exec(text, scope)
        exec(text, scope)
    assert Path.cwd() == folder and os.environ["ASSIGNMENT_OUTPUT"] == output


def test_results_lie_beside_the_notebook_and_outlive_a_new_upload(alone, tmp_path, monkeypatch):
    pack(tmp_path / "old.zip", contents("old"))
    alone()
    results = tmp_path.resolve() / "build"
    assert os.environ["ASSIGNMENT_OUTPUT"] == str(results)
    pack(tmp_path / "new.zip", contents("new"), 1.1e9)
    alone()
    assert mark() == "new" and os.environ["ASSIGNMENT_OUTPUT"] == str(results)


def test_a_chosen_folder_for_results_is_meant_from_where_the_notebook_is(tmp_path, monkeypatch):
    pack(tmp_path / "repository-main.zip", contents())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", "my results")
    scope = {}
    for text in SETUP:
        exec(text, scope)
    assert os.environ["ASSIGNMENT_OUTPUT"] == str(tmp_path.resolve() / "my results")


@pytest.mark.parametrize("names", [("a.zip", "b.zip"), ("b.zip", "a.zip")])
@pytest.mark.parametrize("root", ["repository-main/", "repository-corrected/"])
def test_nothing_of_an_older_upload_is_left_among_the_modules(alone, tmp_path, names, root):
    """A package `x/` of the old one would be imported instead of the new `x.py`."""
    old = {"repository-main/utils/x/__init__.py": "", "repository-main/utils/gone.py": ""}
    pack(tmp_path / names[0], contents("old") | old)
    before = alone()
    (before / "notes.txt").write_text("the student's")
    pack(tmp_path / names[1], contents("new", root) | {f"{root}utils/x.py": ""}, 1.1e9)
    alone()
    assert mark() == "new"
    assert Path("utils/x.py").is_file()
    assert not Path("utils/x").exists() and not Path("utils/gone.py").exists()
    assert (before / "notes.txt").read_text() == "the student's"


@pytest.mark.parametrize(
    "copy", ["repository-main/old/", "repository-main/a/b/", "a/repository/", "z/repository/"]
)
def test_of_a_copy_within_the_zip_file_the_outer_one_is_taken(alone, tmp_path, copy):
    files = contents("outer") | contents("inner", copy)
    for order in (files, dict(reversed(files.items()))):
        pack(tmp_path / "repository-main.zip", order)
        alone()
        assert mark() == "outer"
        shutil.rmtree(Path.cwd())


def test_what_else_a_zip_file_holds_is_not_touched(alone, tmp_path):
    path = pack(tmp_path / "semester.zip", contents("ours", "week 4/") | {"week 5.txt": "y" * 100})
    content = bytearray(path.read_bytes())
    content[content.index(b"y" * 100)] ^= 1  # damaged, but not ours
    path.write_bytes(content)
    folder = alone()
    assert mark() == "ours"
    assert {path.name for path in tmp_path.iterdir()} == {"semester.zip", folder.name}


def test_two_copies_side_by_side_are_not_chosen_between(alone, tmp_path, capsys):
    pack(tmp_path / "older.zip", contents("older"))
    pack(tmp_path / "both.zip", contents("b", "b/") | contents("a", "a/"), 1.1e9)
    alone()
    reason = "Passed over both.zip: it holds both a/ and b/: make a ZIP file of one."
    assert mark() == "older" and re.fullmatch(named(reason), capsys.readouterr().out)


FOREIGN = {
    "holiday": {"beach.jpg": "x"},
    "another project with utils/": {"other/utils/settings.py": "x", "other/requirements.txt": "x"},
    "parts in different folders": {
        "a/requirements.txt": "",
        "b/utils/settings.py": "",
        "b/utils/explain/grad_cam.py": "",
    },
    "names that only end alike": {f"my{part}": "" for part in PARTS},
    "only a folder": {"repository-main/": ""},
    "nothing": {},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_newer_zip_file_of_something_else_is_named_and_left_alone(alone, tmp_path, capsys, kind):
    pack(tmp_path / "repository-main.zip", contents("ours"))
    pack(tmp_path / "other.zip", FOREIGN[kind], 1.1e9)
    folder = alone()
    reason = f"Passed over other.zip: no folder in it has all of {', '.join(PARTS)}."
    assert mark() == "ours" and re.fullmatch(named(reason), capsys.readouterr().out)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {folder.name}


@pytest.mark.parametrize(
    "name", ["Repository.ZIP", "repository.zip.download", "repository.zip (1)", "repository.Zip"]
)
def test_whatever_the_browser_calls_it(alone, tmp_path, name):
    pack(tmp_path / name, contents("ours"))
    alone()
    assert mark() == "ours"


def test_an_unfinished_download_is_a_folder_in_safari(alone, tmp_path, capsys):
    pack(tmp_path / "older.zip", contents("older"))
    (tmp_path / "repository-main.zip.download").mkdir()
    alone()
    reason = "Passed over repository-main.zip.download: a folder, .* Wait until it is complete."
    assert mark() == "older" and re.fullmatch(named(reason), capsys.readouterr().out)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a right to make links there")
def test_a_link_that_leads_nowhere_is_no_upload(alone, tmp_path):
    (tmp_path / "linked.zip").symlink_to(tmp_path / "gone.zip")
    pack(tmp_path / "repository-main.zip", contents("ours"))
    alone()
    assert mark() == "ours"


def test_without_a_folder_around_the_files(alone, tmp_path):
    pack(tmp_path / "files.zip", contents("flat", root=""))
    alone()
    assert mark() == "flat"


def test_a_zip_file_within_a_zip_file_is_named_and_the_advice_helps(alone, tmp_path, capsys):
    inner = pack(tmp_path / "repository-main.zip", contents("inner")).read_bytes()
    (tmp_path / "repository-main.zip").unlink()
    outer = pack(tmp_path / "moodle.zip", {"repository-main.zip": inner})
    with pytest.raises(FileNotFoundError):
        alone()
    advice = "it holds another ZIP file: unpack it, and put the one inside here."
    assert capsys.readouterr().out == f"Passed over moodle.zip: {advice}\n"
    zipfile.ZipFile(outer).extractall(tmp_path)
    alone()
    assert mark() == "inner"


def test_backslashes_of_old_windows_tools(alone, tmp_path):
    path = pack(tmp_path / "repository.zip", contents("windows") | {"repository-main/empty/": ""})
    path.write_bytes(path.read_bytes().replace(b"repository-main/", b"repository-main\\"))
    for part in PARTS:
        slashes = part.encode()
        path.write_bytes(path.read_bytes().replace(slashes, slashes.replace(b"/", b"\\")))
    assert any("utils\\explain" in name for name in zipfile.ZipFile(path).namelist())
    alone()
    assert mark() == "windows" and Path("empty").is_dir()


@pytest.mark.parametrize("field, value, words", [(6, 1, "password"), (8, 93, "compression")])
def test_a_password_or_a_rare_compression_is_named_and_the_advice_helps(
    alone, tmp_path, capsys, field, value, words
):
    """Set in the headers of every member: bit 0 of the flags, or the method."""
    path = pack(tmp_path / "repository.zip", contents("locked"))
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", field), (b"PK\1\2", field + 2)):
        for found in re.finditer(re.escape(signature), bytes(content)):
            content[found.start() + offset] = value
    path.write_bytes(content)
    with pytest.raises(FileNotFoundError):
        alone()
    out = capsys.readouterr().out
    assert re.search(f"Passed over repository.zip: .*{words}.*Unpack it and make a plain ZIP", out)
    assert {path.name for path in tmp_path.iterdir()} == {"repository.zip"}  # nothing half-made
    pack(path, contents("plain"))
    alone()
    assert mark() == "plain"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "no ZIP file"])
def test_a_damaged_upload_is_named_and_an_older_sound_one_taken(alone, tmp_path, capsys, damage):
    pack(tmp_path / "repository-main.zip", contents("sound"))
    path = pack(tmp_path / "repository-main (1).zip", contents("damaged"), 1.1e9)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[content.index(b"x" * 100)] ^= 1  # only the checksum can tell
    path.write_bytes({"cut": content[:-100], "empty": b""}.get(damage, content))
    if damage == "no ZIP file":
        path.write_text("<html>Sign in</html>")
    folder = alone()
    reason = r"Passed over repository-main \(1\).zip: damaged, or not complete yet \(.*\). Wait; .*"
    assert mark() == "sound" and re.fullmatch(named(reason), capsys.readouterr().out)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {folder.name}


@pytest.mark.parametrize("kind", ["file", "folder of the user"])
def test_what_is_called_course_is_not_in_the_way(alone, tmp_path, kind):
    course = tmp_path / "course"
    course.write_text("") if kind == "file" else (course / "lecture 1").mkdir(parents=True)
    pack(tmp_path / "repository-main.zip", contents("ours"))
    alone()
    assert mark() == "ours" and course.exists()


def test_a_full_disk_is_called_that(alone, tmp_path, monkeypatch, capsys):
    def extractall(*_):
        raise OSError(28, "No space left on device")

    pack(tmp_path / "repository-main.zip", contents())
    monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    with pytest.raises(FileNotFoundError):
        alone()
    expected = "Passed over repository-main.zip: [Errno 28] No space left on device.\n"
    assert capsys.readouterr().out == expected


def test_inside_the_repository_nothing_is_done(alone, tmp_path, capsys):
    for name, text in contents("here", root="").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    pack(tmp_path / "repository-main.zip", contents("uploaded"))
    assert alone("owner/name") == tmp_path.resolve()
    assert capsys.readouterr().out == "ready\n" and os.environ["ASSIGNMENT_OUTPUT"] == ""
    assert not list(tmp_path.glob("course*"))


@pytest.mark.parametrize("start", [".", "repository/my notebooks"])
def test_started_beside_or_within_the_repository_it_is_found(alone, tmp_path, start):
    """As editors and papermill do, whose kernel starts in another folder than the notebook's."""
    for name, text in contents("unpacked", root="repository/").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / start).mkdir(exist_ok=True)
    assert alone(start=tmp_path / start) == tmp_path.resolve() / "repository"
    assert os.environ["ASSIGNMENT_OUTPUT"] == str((tmp_path / start).resolve() / "build")


def test_of_several_folders_that_hold_the_repository_the_newest_is_taken(alone, tmp_path):
    for time, name in ((1e9, "a"), (1.2e9, "b"), (1.1e9, "c")):
        zipfile.ZipFile(pack(tmp_path / "x.zip", contents(name, f"{name}/"))).extractall(tmp_path)
        os.utime(tmp_path / name, (time, time))
    (tmp_path / "x.zip").unlink()
    alone()
    assert mark() == "b"


def test_without_the_repository_it_says_where_it_looked_and_what_to_do(
    alone, tmp_path, monkeypatch
):
    for folder in (tmp_path / "utils", tmp_path / "other/utils"):  # of projects of the user's own
        folder.mkdir(parents=True)
        (folder / "settings.py").touch()
    place = re.escape(str(tmp_path.resolve()))
    local = f"not in {place}: open the notebook in its folder, or put its ZIP file beside"
    with pytest.raises(FileNotFoundError, match=local):
        alone()
    monkeypatch.setitem(sys.modules, "google.colab", object())
    with pytest.raises(FileNotFoundError, match="drop its ZIP file on the folder icon, left"):
        alone()
    pack(tmp_path / "repository-main.zip", contents("advised"))
    alone()
    assert mark() == "advised"


ADDRESS = "https://github.com/owner/my.name/archive/HEAD.zip"


@pytest.mark.parametrize(
    "repository",
    [
        "owner/my.name",
        " owner/my.name ",
        "owner/my.name/",
        "https://github.com/owner/my.name",
        "https://github.com/owner/my.name.git",
        "https://www.github.com/owner/my.name/",
        "https://github.com/owner/my.name/tree/main",
        "github.com/owner/my.name",
        "git@github.com:owner/my.name.git",
    ],
)
def test_from_github_in_every_form_of_the_address_and_once(
    alone, tmp_path, monkeypatch, repository
):
    """A ZIP file, since not every computer has git."""
    asked = []

    def urlopen(address, timeout):
        asked.append(address)
        return io.BytesIO(pack(tmp_path / "x", contents("from GitHub")).read_bytes())

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setenv("PATH", "")
    first = alone(repository)
    assert mark() == "from GitHub" and alone(repository) == first
    assert asked == [ADDRESS]
    pack(tmp_path / "corrected.zip", contents("corrected"), 3e9)
    alone(repository)
    assert mark() == "corrected"


@pytest.mark.parametrize("uploaded", [True, False])
def test_without_github_the_uploaded_zip_file_will_do(
    alone, tmp_path, monkeypatch, capsys, uploaded
):
    def urlopen(address, timeout):
        raise urllib.error.HTTPError(address, 404, "Not Found", None, None)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    if uploaded:
        pack(tmp_path / "repository-main.zip", contents("uploaded"))
        alone("owner/my.name")
        assert mark() == "uploaded"
    else:
        with pytest.raises(FileNotFoundError):
            alone("owner/my.name")
    words = f"{ADDRESS}: HTTP Error 404: Not Found. The repository's ZIP file beside the notebook "
    assert capsys.readouterr().out.startswith(words)
    assert not (tmp_path / "owner-my.name.zip").exists()


@pytest.fixture
def pip(monkeypatch):
    """Makes some modules missing; gives the commands that install them."""
    calls, absent = [], {}

    def run(command, **options):
        calls.append(command[1:])
        return type("Done", (), {"returncode": absent.get("status", 0), "stderr": "no network"})

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in absent else name)
    monkeypatch.setenv("KERAS_BACKEND", "")
    return calls, absent


INSTALL = ["-m", "pip", "install", "-q", "-c", "requirements.txt"]


def test_only_what_is_missing_is_installed_and_in_the_versions_of_the_repository(
    alone, tmp_path, capsys, pip
):
    calls, absent = pip
    pack(tmp_path / "repository-main.zip", contents())
    alone()
    assert calls == []
    absent |= {"cv2": 1, "tabulate": 1}
    alone()
    assert calls == [[*INSTALL, "opencv-python-headless", "tabulate"]]
    assert capsys.readouterr().out.endswith("installed opencv-python-headless, tabulate\n")


def test_the_backend_is_a_package_too(alone, tmp_path, monkeypatch, pip):
    calls, absent = pip
    pack(tmp_path / "repository-main.zip", contents())
    absent |= {"tensorflow": 1, "jax": 1}
    alone()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    alone()
    assert calls == [[*INSTALL, "tensorflow"], [*INSTALL, "jax"]]
    calls.clear()
    del absent["jax"]  # as on Colab's TPUs
    monkeypatch.delenv("KERAS_BACKEND")
    alone()
    assert calls == [] and os.environ["KERAS_BACKEND"] == "jax"


def test_what_pip_complains_of_is_passed_on(alone, tmp_path, pip):
    pip[1].update(tabulate=1, status=1)
    pack(tmp_path / "repository-main.zip", contents())
    with pytest.raises(AssertionError, match="pip cannot install tabulate: no network"):
        alone()


def test_every_package_that_the_notebook_needs_is_on_the_list():
    """The cell names what requirements.txt has for running the notebook, but for Jupyter."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition("# To write")[0]
    wanted = set(re.findall(r"^([\w-]+)>=", text, re.MULTILINE)) - {"jupyter"}
    named_in_cell = set(re.findall(r'"([\w-]+)"', SETUP[-1]))
    assert wanted and wanted <= named_in_cell


def test_a_kernel_finds_the_unpacked_modules(tmp_path):
    """Kernels import from the present folder, also after the cells have changed it."""
    pack(tmp_path / "repository-main.zip", contents("unpacked"))
    cells = [nbformat.v4.new_code_cell(text) for text in SETUP]
    cells.append(nbformat.v4.new_code_cell("from utils.settings import mark\nprint(mark)"))
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": tmp_path}}).execute()
    assert notebook.cells[-1].outputs[0].text == "unpacked\n"
