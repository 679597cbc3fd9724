"""Executes a notebook with visible progress; saves it as .ipynb and as one HTML file.

`make run` calls it; `python -m utils.commands.execute Assignment4B.ipynb --inplace` refreshes the
outputs that are committed.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError

from utils import progress
from utils.atomic import write_text
from utils.commands.arguments import command_parser
from utils.commands.notebook_run import NotebookRun
from utils.html.notebook import standalone_html
from utils.location import path_argument

ERROR_LINES = 8
ANSI_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def prepare_environment(scratch):
    """Sets the environment variables that kernels started from this process inherit.

    IPython, Jupyter and Matplotlib keep their state under `scratch`: nothing is written into a
    home folder (there may be none), and no personal setting changes a figure.

    Args:
        scratch: Path of a folder, made when needed.
    """
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # no "frozen modules" warning
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        folder = Path(scratch).resolve() / variable.lower()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder)
    os.environ.pop("MPLBACKEND", None)  # ipykernel then draws figures into the notebook


def notebook_text(notebook):
    """The text of an .ipynb file in which nothing but outputs can differ between two runs."""
    notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    return nbformat.writes(notebook) + "\n"


def describe_record(output, since):
    """Says in one sentence whether the newest run record is that of a full result.

    Args:
        output: Path of the folder that holds `run.json`, at any depth.
        since: Seconds since 1970; a record written before is said to be of an earlier run.

    Returns:
        One sentence as str.
    """
    records = sorted(output.glob("**/run.json"), key=lambda path: path.stat().st_mtime)
    if not records:
        return f"No run record in {output}: it is not known whether this is the full result."
    try:
        record = json.loads(records[-1].read_text(encoding="utf-8"))
        verdict = "This is the full result" if record["full_result"] else "Not the full result"
        verdict += f": profile {record['profile']}, data: {record['data']['source']}"
    except (KeyError, TypeError, ValueError) as error:
        return f"The run record {records[-1]} cannot be used ({type(error).__name__}: {error})."
    return verdict + ("." if records[-1].stat().st_mtime >= since else "; from an earlier run.")


def read_notebook(source):
    """Reads a notebook file, of any version of the format.

    Args:
        source: Path of the notebook.

    Returns:
        `nbformat.NotebookNode`, version 4.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a notebook.
    """
    content = source.read_bytes()
    try:
        notebook = nbformat.reads(content.decode(), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # a file of another kind can raise nearly anything
        line = str(error).partition("\n")[0]
        raise ValueError(f"{source} is no notebook ({line}); restore it.") from None
    return notebook


def execute(source, output, inplace=False):
    """Executes a notebook file, saves the results and prints where they are.

    Args:
        source: Path of the notebook. Its folder is the kernel's working directory.
        output: Path of the folder for the results, made when needed.
        inplace: Whether the executed notebook replaces `source` rather than go to `output`.

    Returns:
        Exit status: 0; 1 when a cell failed; 130 after Ctrl-C. If not 0, the notebook up to there
        is saved beside the results, and results of an earlier run are left alone.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: `source` is not a notebook.
    """
    started, folder = time.time(), source.resolve().parent
    target = source if inplace else output / source.name
    page, partial = output / f"{source.stem}.html", output / f"{source.stem}.partial.ipynb"
    log = output / ".cache" / "kernel.log"
    notebook = read_notebook(source)
    prepare_environment(log.parent)
    where = output.resolve()
    with contextlib.suppress(ValueError):  # on Windows, another drive
        # Relative, because the notebook may print it and is committed.
        where = os.path.relpath(where, folder)
    os.environ["ASSIGNMENT_OUTPUT"] = str(where)

    run, failure, status = NotebookRun(notebook, folder), None, 1
    live = log.with_name("progress.txt")  # the kernel's outputs are kept, so it tells us by a file
    live.unlink(missing_ok=True)
    os.environ.pop(progress.VARIABLE, None)
    if run.line.is_live:
        os.environ[progress.VARIABLE] = str(live.resolve())
    try:
        with (
            log.open("w", encoding="utf-8") as stream,
            progress.watching(live, run.line, lambda: run.printed.endswith("\n")),
        ):
            run.run(stream)
    except CellExecutionError as error:
        lines = ANSI_COLOR.sub("", error.traceback).strip().splitlines()
        failure = "\n".join(["failed:", *lines[-ERROR_LINES:]])
    except RuntimeError as error:
        # nbclient's DeadKernelError is one; a kernel that does not even start raises it plain.
        failure = (
            f"ended the Python process ({error}). Was there too little memory? See also {log}."
        )
    except KeyboardInterrupt:
        failure, status = "was interrupted.", 130
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if failure:
        write_text(partial, notebook_text(notebook))
        print(f"{run.place} {failure}\nThe notebook up to there: {partial}", file=sys.stderr)
        return status

    write_text(target, notebook_text(notebook))
    write_text(page, standalone_html(notebook, source.stem, folder))
    partial.unlink(missing_ok=True)
    print(f"Executed in {time.time() - started:.0f} s. Results: {target} and {page}")
    print(describe_record(output, started))
    return 0


def main():
    """Reads the command line; returns the exit status."""
    parser = command_parser("utils.commands.execute", __doc__)
    parser.add_argument("notebook", type=path_argument)
    default = os.environ.get("ASSIGNMENT_OUTPUT") or "build"
    help_text = "folder (now %(default)s)"
    parser.add_argument("--output", type=path_argument, default=default, help=help_text)
    parser.add_argument("--inplace", action="store_true", help="write back to the same .ipynb")
    options = parser.parse_args()
    if not options.inplace and options.output.resolve() == options.notebook.resolve().parent:
        parser.error("--output is the notebook's own folder, which would be overwritten")
    try:
        return execute(options.notebook, options.output, options.inplace)
    except (OSError, ValueError) as error:
        print(f"{options.notebook} was not executed: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
