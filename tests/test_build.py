"""Makefile, set-up script and CI script, with stand-ins for Python: nothing is installed."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = (
    "awk basename bash cat cmp cp cut df dirname echo env grep id ls make mkdir mktemp rm sh tail "
    "tar tee xz"
)
# Answers as Python, venv, pip, pytest or the program would, told by files beside it.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) echo {version} ;;
  *ensurepip*) exit {venv_status} ;;
  "-c import pip") exit 0 ;;
  --version) echo "Python {version}.0" ;;
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip install"*)
    for word in "$@"; do case $word in --req*) echo "$word" >>../pip-calls ;; esac; done
    if [ -e ../pip-fails ]; then cat ../pip-fails; exit 1; fi ;;
  *unpack_official*) mkdir -p "$2" && : >"$2/data_batch_1" ;;
  *real_images*) ls "$ASSIGNMENT_DATA"; exit 5 ;;
  *) echo "ran $* profile=$ASSIGNMENT_PROFILE data=$ASSIGNMENT_DATA output=$ASSIGNMENT_OUTPUT \\
backend=$KERAS_BACKEND" ;;
esac
"""

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS.split()), reason="needs make, bash and tar"
)


class Checkout:
    """A copy of the build files in a folder with a space, and a PATH with chosen commands only."""

    def __init__(self, folder):
        self.calls = folder / "pip-calls"
        self.pip_fails = folder / "pip-fails"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.command("df", "#!/bin/sh\necho head\necho disk 99999999 1 50000000 1% /\n")
        self.root = folder / "my course"
        self.root.mkdir()
        for name in ("Makefile", "requirements.txt", "requirements-jax.txt"):
            shutil.copy(ROOT / name, self.root)
        for name in ("scripts", ".ci"):
            shutil.copytree(ROOT / name, self.root / name)

    def command(self, name, text):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def python(self, name="python3", version="3.12", venv_status=0):
        self.command(name, FAKE_PYTHON.format(version=version, venv_status=venv_status))

    def run(self, *command, **variables):
        environment = {"PATH": str(self.bin), "TMPDIR": str(self.bin.parent), **variables}
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=60
        )

    def make(self, *words, **variables):
        return self.run("make", *words, **variables)

    def complaint(self, *words):
        """The only line that a failing make leaves on standard error, beside make's own."""
        done = self.make(*words)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
        assert done.returncode != 0 and len(lines) == 1, (done.stdout, done.stderr)
        return lines[0]

    def installed(self):
        calls = self.calls.read_text().split() if self.calls.exists() else []
        return [call.removeprefix("--requirement=") for call in calls]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_help_is_the_default_and_names_every_target(checkout):
    shown = checkout.make().stdout
    targets = ("run", "test", "lint", "readme", "clean")
    assert all(f"make {target} " in shown for target in targets)
    assert not (checkout.root / ".venv").exists()


@pytest.mark.parametrize("version", ["2.7", "3.8", "3.9", "3.14", "4.0"])
def test_unsuitable_python(checkout, version):
    checkout.python(version=version)
    line = checkout.complaint("run")
    assert f"python3 is Python {version}" in line and "3.10 to 3.13" in line and "PYTHON=" in line
    assert not (checkout.root / ".venv").exists()


def test_no_python(checkout):
    assert "no Python found. Install Python 3.10 to 3.13" in checkout.complaint("run")


def test_missing_venv_module(checkout):
    checkout.python(venv_status=1)
    checkout.python("python3.10", version="3.9")  # another fault, of less use to the reader
    assert "apt install python3.12-venv" in checkout.complaint("test")


@pytest.mark.parametrize("first", ["old", "broken", "without venv", "absent"])
def test_the_next_suitable_python_is_taken(checkout, first):
    if first == "broken":  # such as a version manager's placeholder
        checkout.command("python3", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    elif first != "absent":
        checkout.python(version="3.8" if first == "old" else "3.12", venv_status=first != "old")
    checkout.python("python3.11", version="3.11")
    done = checkout.make("run")
    assert done.returncode == 0, done.stderr
    assert "Creating .venv with Python 3.11.0 (python3.11)." in done.stdout


def test_a_python_that_the_user_names_is_not_replaced(checkout):
    checkout.python()
    checkout.python("mine", version="3.9")
    assert "mine is Python 3.9" in checkout.complaint("run", "PYTHON=mine")
    assert "no Python found at nowhere/python" in checkout.complaint("run", "PYTHON=nowhere/python")


def test_second_run_reuses_the_environment(checkout):
    checkout.python()
    first, second = checkout.make("run"), checkout.make("run")
    assert first.returncode == second.returncode == 0, first.stderr
    assert "Installing requirements.txt" in first.stdout
    assert second.stdout.startswith("ran -m utils.commands.execute Assignment4B.ipynb")
    assert checkout.installed() == ["requirements.txt"]


def test_only_what_changed_is_installed(checkout):
    checkout.python()
    checkout.make("test")
    checkout.make("test", "KERAS_BACKEND=jax")
    checkout.make("test", KERAS_BACKEND="jax")
    with (checkout.root / "requirements.txt").open("a") as file:
        file.write("pandas\n")
    checkout.make("test")
    expected = ["requirements.txt", "requirements-jax.txt", "requirements.txt"]
    assert checkout.installed() == expected


def test_an_interrupted_installation_is_made_anew(checkout):
    checkout.python()
    checkout.pip_fails.write_text("ERROR: Operation cancelled by user\n")
    assert "Operation cancelled by user" in checkout.complaint("run")
    leftover = checkout.root / ".venv" / "half a package"
    leftover.touch()
    checkout.pip_fails.unlink()
    done = checkout.make("run")
    assert done.returncode == 0 and "starting over" in done.stdout
    assert not leftover.exists() and not (checkout.root / ".venv" / "unfinished").exists()
    assert "Installing" not in checkout.make("run").stdout


def test_two_installations_at_once_are_refused(checkout):
    checkout.python()
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv" / "unfinished").write_text(f"{os.getpid()}\n")
    assert f"another make (process {os.getpid()})" in checkout.complaint("run")


@pytest.mark.parametrize(
    ("pip_says", "expected"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("WARNING: Retrying after connection broken by 'X'", "registry cannot be reached"),
        ("ERROR: No matching distribution found for tensorflow", "found for tensorflow"),
    ],
)
def test_failing_pip(checkout, pip_says, expected):
    checkout.python()
    checkout.pip_fails.write_text(f"Collecting tensorflow\n{pip_says}\n")
    line = checkout.complaint("run")
    assert expected in line and "pip.log" in line and "run make again" in line.lower()
    assert pip_says in (checkout.root / ".venv" / "pip.log").read_text()


@pytest.mark.parametrize(("free_mb", "enough"), [(3999, False), (4001, True)])
def test_full_disk_is_noticed_before_anything_is_made(checkout, free_mb, enough):
    checkout.python()
    checkout.command("df", f"#!/bin/sh\necho head\necho disk 9 9 {free_mb * 1024} 9% /\n")
    if enough:
        assert checkout.make("run").returncode == 0
    else:
        assert f". has {free_mb} MB free, 4000 MB are needed" in checkout.complaint("run")
        assert not (checkout.root / ".venv").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_of_another_user(checkout):
    checkout.python()
    checkout.root.chmod(0o555)
    try:
        assert "cannot write to" in checkout.complaint("run")
    finally:
        checkout.root.chmod(0o755)


def test_options_reach_the_program(checkout):
    checkout.python()
    words = ("PROFILE=quick", "DATA=/a folder", "OUTPUT=o p", "KERAS_BACKEND=jax")
    shown = checkout.make("run", *words).stdout.splitlines()[-1]
    assert shown.endswith("profile=quick data=/a folder output=o p backend=jax")


def test_options_of_the_gallery_count_on_the_command_line_only(checkout):
    checkout.python()
    shown = checkout.make("gallery", "CELL=cat,dog", "IMAGES=5", "DATA=x", CLASS="cat").stdout
    words = "-m utils.commands.gallery --cell cat,dog --images 5 profile= data=x"
    assert words in shown.splitlines()[-1]


def test_variables_of_the_environment_reach_the_program_under_their_full_names_only(checkout):
    checkout.python()
    shown = checkout.make("run", DATA="x", OUTPUT="y", ASSIGNMENT_PROFILE="quick").stdout
    assert "profile=quick data= output= backend=tensorflow" in shown


@pytest.mark.parametrize(
    ("target", "word"), [("faults", "QUICK"), ("bench", "QUICK"), ("mutants", "COUNT")]
)
def test_short_names_count_on_the_command_line_only(checkout, target, word):
    """An environment may have a QUICK for another purpose."""
    plain = checkout.make("-n", target).stdout
    assert f"--{word.lower()}" not in plain
    assert checkout.make("-n", target, **{word: "1"}).stdout == plain
    assert f"--{word.lower()}" in checkout.make("-n", target, f"{word}=1").stdout


def test_ci_fails_when_no_test_on_real_images_was_found(checkout):
    checkout.python()
    assert checkout.run(".ci/run").returncode == 0
    shared = checkout.root.parent / "shared" / "cifar10"
    shared.mkdir(parents=True)
    (shared / "unpack_official.py").touch()
    with tarfile.open(shared / "cifar10-jpeg.tar.xz", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("train/cat/0000.jpg"))
    done = checkout.run(".ci/run")
    assert done.returncode == 5 and done.stdout.endswith("\ndata_batch_1\n")


@pytest.mark.parametrize("name", ["scripts/setup.sh", ".ci/run"])
def test_shell_scripts_are_executable_and_parse(name):
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / name], timeout=30).returncode == 0
