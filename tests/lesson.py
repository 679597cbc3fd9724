"""The notebook as a lesson: its sections and exercises, as they stand in the file."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CELLS = json.loads((ROOT / "Assignment4B.ipynb").read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def sections():
    """Maps the number of each section to its cells, the one with the heading first."""
    found, number = {}, None
    for cell in CELLS:
        heading = (
            re.match(r"## (\d+)\. ", source(cell)) if cell["cell_type"] == "markdown" else None
        )
        number = int(heading[1]) if heading else number
        if number is not None:
            found.setdefault(number, []).append(cell)
    return found


def exercises():
    """Maps the number of a section to its exercise, (text, code), both without indentation."""
    found = {}
    for number, cells in sections().items():
        for cell in cells:
            parts = source(cell).split("\n\n")
            for place, part in enumerate(parts):
                if part.startswith("**Exercise.** "):
                    assert number not in found, f"section {number} has two exercises"
                    code = []
                    for block in parts[place + 1 :]:  # code may have blank lines
                        if not block.startswith("    "):
                            break
                        code.append(re.sub(r"^    ", "", block, flags=re.MULTILINE))
                    text = " ".join(part.removeprefix("**Exercise.** ").split())
                    found[number] = text, "\n\n".join(code)
    return found
