"""Runs the notebook as in Google Colab, from top to bottom, and checks what it leaves behind.

    python3 scripts/colab/check.py [PYTHON]

PYTHON is a command, by default python3.12, as Colab has. An environment with Colab's package
versions (packages.txt) is made in build/colab/. The kernel starts, with a stand-in for
`google.colab`, in a folder that holds the last commit's Assignment4B.ipynb and ZIP file and nothing
else. The profile is smoke, the data are painted shapes.

Then a package is taken away and the set-up cells are run once more, as after a restart.

The exit status is 1 if a check failed. It is 0 if all passed, and if the Python or the packages
cannot be had here, with the reason in the last line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "colab"
NOTEBOOK = "Assignment4B.ipynb"
REMOVED = "tabulate"  # pure Python, without dependencies of its own: quickly installed again
# Variables of the caller that Colab does not have.
OWN_SETTINGS = ("ASSIGNMENT_", "IPYTHON", "JUPYTER_", "KERAS_", "MPL", "PYTHON", "VIRTUAL_ENV")


class UnavailableError(Exception):
    """What the check needs cannot be had on this computer."""


def find_python(command):
    """The version of a Python command, as "3.12".

    Raises:
        UnavailableError: it is not there or cannot make environments.
    """
    question = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([command, "-c", question], capture_output=True, text=True)
    except OSError as error:
        raise UnavailableError(f"{command} cannot be started ({error.strerror})") from None
    if answer.returncode:
        reason = (answer.stderr.strip() or "no reason given").splitlines()[-1]
        raise UnavailableError(f"{command} cannot make environments ({reason})")
    return answer.stdout.strip()


def make_environment(command, folder):
    """An environment with Colab's package versions; what is there already stays.

    Returns:
        Path of its Python.

    Raises:
        UnavailableError: pip cannot get the packages.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([command, "-m", "venv", folder], check=True)
    print(f"Installing {HERE.name}/packages.txt into {folder} (2.4 GB, some minutes).", flush=True)
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "-r", HERE / "packages.txt"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise UnavailableError(f"pip cannot install Colab's packages: {(errors or ['?'])[-1]}")
    return python


def upload(folder):
    """Puts the last commit's notebook and ZIP file into a folder, as a student would in Colab."""
    archive = folder / "repository-main.zip"
    git = ["git", "-C", ROOT]
    print("What is tried is the last commit, without changes made since.", flush=True)
    zip_it = ["archive", "--format=zip", "--prefix=repository-main/", f"--output={archive}", "HEAD"]
    subprocess.run([*git, *zip_it], check=True)
    cells = subprocess.run([*git, "show", f"HEAD:{NOTEBOOK}"], check=True, capture_output=True)
    (folder / NOTEBOOK).write_bytes(cells.stdout)


def kernel_environment(home):
    """The environment variables of Colab's kernel; a home folder of its own hides the user's.

    IPython runs the scripts in its start-up folder first: there `google.colab` is imported.
    """
    startup = home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00-colab.py").write_text("import google.colab\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OWN_SETTINGS)}
    return kept | {
        "HOME": str(home),
        "PYTHONPATH": str(HERE / "stub"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # no "frozen modules" warning
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "ASSIGNMENT_PROFILE": "smoke",
        "ASSIGNMENT_DATA": "shapes",
    }


def packages(python):
    """Maps the name of each package in an environment to its version."""
    listing = [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    done = subprocess.run(listing, check=True, capture_output=True, text=True)
    return {one["name"]: one["version"] for one in json.loads(done.stdout)}


def package_faults(before, after, missing=()):
    """Compares what was installed before and after; only what was missing may have come.

    Args:
        before, after: dicts of name to version.
        missing: names of packages that are to be installed.

    Returns:
        List of sentences, empty if all is well.
    """
    names = sorted({*before, *after})
    changed = [name for name in names if before.get(name) != after.get(name)]
    faults = [
        f"{name} was {before.get(name, 'not there')} and is {after.get(name, 'gone')}"
        for name in changed
        if not (name in missing and name not in before and name in after)
    ]
    return faults + [f"{name} is still missing" for name in missing if name not in after]


def printed(notebook):
    """All that the code cells of an executed notebook printed."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output["text"]) for output in outputs if output.get("text"))


def result_faults(text, folder):
    """Checks that results lie where the notebook says, and nothing else lies about.

    Args:
        text: all that the notebook printed.
        folder: Path in which the kernel started.

    Returns:
        List of sentences, empty if all is well.
    """
    faults = []
    if re.search(r"(?i)restart (the )?(runtime|session|kernel)", text):
        faults.append("an output asks for a restart")
    if "\nready\n" not in text:
        faults.append("the set-up cells do not say that nothing was missing")
    said = re.search(r"The modules are those in (.*); results go to (.*)\.\n", text)
    if not said:
        return [*faults, "the notebook does not say where its modules and results are"]
    expected = {NOTEBOOK, "repository-main.zip", Path(said[1]).name, Path(said[2]).name}
    there = {path.name for path in folder.iterdir()}
    if there != expected:
        faults.append(f"{folder} holds {sorted(there)}, not {sorted(expected)}")
    listed = re.findall(r"^ *[\d,.]+ kB  (.+)$", text, re.MULTILINE)
    kept = {path.name for path in Path(said[2]).glob("*/*")}
    if not {"model.keras", "run.json"} <= set(listed) <= kept:
        faults.append(f"the notebook lists {listed}, but {said[2]} holds {sorted(kept)}")
    downloads = re.findall(r"^downloaded (.*)$", text, re.MULTILINE)
    if [Path(one).name for one in downloads] != ["model.keras"]:
        faults.append(f"downloaded were {downloads}, not the model")
    return faults


def check(command):
    """Runs everything; returns the list of faults."""
    base = BUILD / find_python(command)
    python = make_environment(command, base)
    home = Path(tempfile.mkdtemp(prefix="colab-"))
    content, executed = home / "content", base.with_name(f"{base.name}.ipynb")
    content.mkdir()
    upload(content)
    run = [python, HERE / "run_cells.py", content / NOTEBOOK, content, executed]
    environment = kernel_environment(home)

    before = packages(python)
    failed = subprocess.run(run, env=environment).returncode
    faults = package_faults(before, packages(python))
    faults += [f"a cell failed, see {executed} and {content}"] if failed else []
    faults += [] if failed else result_faults(printed(executed), content)

    print(f"Once more without {REMOVED}, as after a restart:", flush=True)
    remove = [python, "-m", "pip", "uninstall", "-q", "-y", REMOVED]
    subprocess.run(remove, check=True)
    cells = json.loads((content / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    setup = next(i for i, text in enumerate(sources) if "from utils." in text)
    before = packages(python)
    run[-1] = base.with_name(f"{base.name}-restarted.ipynb")
    if subprocess.run([*run, str(setup)], env=environment).returncode:
        faults.append("a set-up cell failed after a restart")
    faults += package_faults(before, packages(python), [REMOVED])
    if not faults:
        shutil.rmtree(home)
    return faults


def main(command="python3.12"):
    """Returns the exit status."""
    try:
        faults = check(command)
    except UnavailableError as reason:
        print(f"Skipped: {reason}.")
        return 0
    for fault in faults:
        print(f"FAILED: {fault}.")
    print("The notebook does not run in Colab." if faults else "The notebook runs in Colab.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
