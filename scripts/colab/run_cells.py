"""Runs a notebook's cells in one kernel, in the environment of `check.py`, and saves their outputs.

    python run_cells.py NOTEBOOK FOLDER EXECUTED [NUMBER]

The kernel starts in FOLDER. With NUMBER only that many code cells are run. The exit status is 1
where a cell failed or the kernel ended; EXECUTED then holds the outputs up to there.
"""

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError


def main(source, folder, target, number=None):
    """Returns the exit status."""
    notebook = nbformat.read(source, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code = code[: int(number or len(code))]
    notebook.cells = notebook.cells[: notebook.cells.index(code[-1]) + 1]
    for cell in code:
        cell.outputs, cell.execution_count = [], None

    def say(cell, cell_index):
        if cell in code:
            first = cell.source.partition("\n")[0]
            print(f"  [{code.index(cell) + 1:2d}/{len(code)}] {first}", flush=True)

    client = NotebookClient(
        notebook, timeout=None, resources={"metadata": {"path": folder}}, on_cell_start=say
    )
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        print(f"  {error}", flush=True)
        return 1
    finally:
        nbformat.write(notebook, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
