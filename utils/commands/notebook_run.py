"""One execution of a notebook, with a title, the output and the seconds of each cell on screen.

nbclient executes the cells. What it leaves to do: a title and the seconds of each cell, output the
moment it arrives, the running interpreter as kernel whatever is registered, and a Ctrl-C that the
cell receives, so that a training can end in good order; nbclient's own `execute` ends the kernel.
papermill adds parameters, which the environment variables of the settings make needless here, and
takes a registered kernel.
"""

import os
import signal
import sys
import time

import ipykernel.kernelspec
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from utils import progress

TITLE_WIDTH = 72  # characters


def cell_titles(notebook):
    """Names each code cell: by the heading above it, else by the comment that it begins with.

    A cell with neither is named by its place, as in "Data (2)", the second code cell below the
    heading "Data"; and where there is no heading at all, by its first line.

    Args:
        notebook: `nbformat.NotebookNode`.

    Returns:
        Dict from the index of each non-empty code cell to its title, in order.
    """
    titles, heading, cells_below = {}, None, 0
    for index, cell in enumerate(notebook.cells):
        lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            found = next((line for line in reversed(lines) if line.startswith("#")), None)
            heading, cells_below = (found, 0) if found else (heading, cells_below)
        elif cell.cell_type == "code" and lines:
            cells_below += 1
            title = lines[0]
            if heading and cells_below == 1:
                title = heading
            elif heading and not title.startswith("#"):
                title = f"{heading} ({cells_below})"
            title = title.lstrip("# ")
            titles[index] = title if len(title) <= TITLE_WIDTH else title[: TITLE_WIDTH - 3] + "..."
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
        self.printed = ""  # the last piece of text on the terminal
        self.interrupted = False
        self.line = progress.TerminalLine(sys.stderr)

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
                counter = f"[{number:2d}/{len(titles)}]"
                with self.line.hidden():
                    print(counter, title, flush=True)
                    self.printed = "\n"
                start = time.monotonic()
                try:
                    self.execute_cell(self.nb.cells[index], index, execution_count=number)
                except CellExecutionError:
                    if not self.interrupted:
                        raise
                finally:
                    with self.line.hidden():
                        print("" if self.printed.endswith("\n") else "\n", end="", flush=True)
                if self.interrupted:
                    raise KeyboardInterrupt
                with self.line.hidden():
                    print(f"{counter} done in {time.monotonic() - start:.1f} s", flush=True)

    def interrupt(self, *_):
        """First Ctrl-C: interrupts the cell, so that it can clean up. The second: the program."""
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if sys.platform == "win32":  # where os.kill would end the process
            from jupyter_client.win_interrupt import send_interrupt

            send_interrupt(self.km.provisioner.process.win32_interrupt_event)
        else:
            os.kill(self.km.provisioner.pid, signal.SIGINT)

    def output(self, outs, msg, display_id, cell_index):
        """Prints a piece of stream output the moment it arrives, then stores it as usual."""
        if msg["msg_type"] == "stream":
            text = msg["content"]["text"]
            with self.line.hidden():
                print(text, end="", flush=True)
                self.printed = text
        return super().output(outs, msg, display_id, cell_index)
