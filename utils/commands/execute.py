"""Executes a notebook with visible progress; saves it as .ipynb and as one HTML file.

`make run` calls it; `python -m utils.commands.execute Assignment4B.ipynb --inplace` refreshes the outputs
that are committed.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from utils.atomic import write_text

TITLE_WIDTH = 72  # characters
ERROR_LINES = 8
ANSI_COLOR = re.compile(r"\x1b\[[0-9;]*m")
# nbconvert's own page without require.js, MathJax and Mermaid, which it would load from a
# public server whenever the page is opened. Images on other servers give way to their alt text.
STANDALONE_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""
REMOTE_IMAGE = re.compile(r"<img\b[^>]*\bsrc\s*=\s*[\"']?\s*(?:https?:)?//[^>]*>", re.IGNORECASE)
ALT_TEXT = re.compile(r"\balt\s*=\s*\"([^\"]*)\"", re.IGNORECASE)


def prepare_environment(scratch):
    """Sets the environment variables that kernels started from this process inherit.

    TensorFlow's start-up messages are silenced unless the environment already asks for them.
    IPython, Jupyter and Matplotlib keep their state under `scratch`: nothing is written into a
    home folder (there may be none), and no personal setting changes a figure.

    Args:
        scratch: Path of a folder, made when needed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # no "frozen modules" warning
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        folder = Path(scratch).resolve() / variable.lower()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(folder)
    os.environ.pop("MPLBACKEND", None)  # ipykernel then draws figures into the notebook


def cell_titles(notebook):
    """Names each code cell by the heading above it, or else by its first line.

    Args:
        notebook: `nbformat.NotebookNode`.

    Returns:
        Dict from the index of each non-empty code cell to its title, in order.
    """
    titles, heading = {}, None
    for index, cell in enumerate(notebook.cells):
        lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            heading = next((line for line in reversed(lines) if line.startswith("#")), heading)
        elif cell.cell_type == "code" and lines:
            title = (heading or lines[0]).lstrip("# ")
            titles[index] = title if len(title) <= TITLE_WIDTH else title[: TITLE_WIDTH - 3] + "..."
            heading = None
    return titles


class ThisInterpreter(AsyncKernelManager):
    """Starts the kernel with the running interpreter, whatever kernels are registered."""

    @property
    def kernel_spec(self):
        """What ipykernel would install for this interpreter.

        What compiled libraries print at start-up goes to the kernel's log, not into the notebook.
        """
        arguments = ["--HistoryManager.enabled=False", "--IPKernelApp.capture_fd_output=False"]
        return KernelSpec(**ipykernel.kernelspec.get_kernel_dict(extra_arguments=arguments))


class NotebookRun(NotebookClient):
    """One execution of a notebook, in place, that prints titles, output lines and seconds.

    Args:
        notebook: `nbformat.NotebookNode`.
        folder: Path of the kernel's working directory.
    """

    def __init__(self, notebook, folder):
        super().__init__(
            notebook,
            kernel_manager_class=ThisInterpreter,
            timeout=None,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        self.place = "The start of the kernel"
        self.printed = ""  # the last piece of text from the running cell
        self.interrupted = False

    def run(self, log):
        """Executes the code cells in order.

        Args:
            log: Open file for what the kernel writes to its standard error.

        Raises:
            CellExecutionError: a cell failed; the notebook holds all outputs up to its error.
            DeadKernelError: the kernel ended by itself.
            KeyboardInterrupt: Ctrl-C; the notebook holds all outputs up to it.
        """
        titles = cell_titles(self.nb)
        with self.setup_kernel(stderr=log):
            signal.signal(signal.SIGINT, self.interrupt)
            for number, (index, title) in enumerate(titles.items(), start=1):
                self.place = f"Cell {number} of {len(titles)} ({title})"
                self.printed = ""
                counter = f"[{number:2d}/{len(titles)}]"
                print(counter, title, end="", flush=True)
                start = time.monotonic()
                try:
                    self.execute_cell(self.nb.cells[index], index, execution_count=number)
                except CellExecutionError:
                    if not self.interrupted:
                        raise
                finally:
                    print("" if self.printed.endswith("\n") else "\n", end="", flush=True)
                if self.interrupted:
                    raise KeyboardInterrupt
                print(f"{counter} done in {time.monotonic() - start:.1f} s", flush=True)

    def interrupt(self, *_):
        """First Ctrl-C: interrupts the cell, so that it can clean up. The second: the program."""
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(self.km.provisioner.pid, signal.SIGINT)

    def output(self, outs, msg, display_id, cell_index):
        """Prints a piece of stream output the moment it arrives, then stores it as usual."""
        if msg["msg_type"] == "stream":
            text = msg["content"]["text"]
            print(text if self.printed else f"\n{text}", end="", flush=True)
            self.printed = text
        return super().output(outs, msg, display_id, cell_index)


def notebook_text(notebook):
    """The text of an .ipynb file in which nothing but outputs can differ between two runs."""
    notebook.metadata.kernelspec = dict(name="python3", display_name="Python 3", language="python")
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    return nbformat.writes(notebook) + "\n"


def standalone_html(notebook, title):
    """One HTML page of a notebook that requests nothing from any server."""
    from nbconvert import HTMLExporter  # slow to import, needed once, at the end

    exporter = HTMLExporter(raw_template=STANDALONE_TEMPLATE)
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return REMOTE_IMAGE.sub(lambda tag: (ALT_TEXT.search(tag[0]) or ["", ""])[1], page)


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
    # Relative, because the notebook may print it and is committed.
    os.environ["ASSIGNMENT_OUTPUT"] = os.path.relpath(output.resolve(), folder)

    run, failure, status = NotebookRun(notebook, folder), None, 1
    try:
        with log.open("w", encoding="utf-8") as stream:
            run.run(stream)
    except CellExecutionError as error:
        lines = ANSI_COLOR.sub("", error.traceback).strip().splitlines()
        failure = "\n".join(["failed:", *lines[-ERROR_LINES:]])
    except DeadKernelError:
        failure = f"ended the Python process. Was there too little memory? See also {log}."
    except KeyboardInterrupt:
        failure, status = "was interrupted.", 130
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if failure:
        write_text(partial, notebook_text(notebook))
        print(f"{run.place} {failure}\nThe notebook up to there: {partial}", file=sys.stderr)
        return status

    write_text(target, notebook_text(notebook))
    write_text(page, standalone_html(notebook, source.stem))
    partial.unlink(missing_ok=True)
    print(f"Executed in {time.time() - started:.0f} s. Results: {target} and {page}")
    print(describe_record(output, started))
    return 0


def main():
    """Reads the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m utils.commands.execute", description=__doc__)
    parser.add_argument("notebook", type=Path)
    default = os.environ.get("ASSIGNMENT_OUTPUT") or "build"
    parser.add_argument("--output", type=Path, default=default, help=f"folder (now {default})")
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
