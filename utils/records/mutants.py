"""Reads the record of `make mutants`, and renders it as the README's table of planted faults."""

from pathlib import Path

from utils.records.check import check_kinds, read_fields
from utils.records.read import FAULTS, ROOT

RECORD_FILE = "mutants.json"
RECORD = ROOT / "runs" / FAULTS / RECORD_FILE
# Fields of the record, of each of its modules and of each survivor.
FIELDS = {"tool": str, "seed": int, "seconds": float, "git_commit": str}
FIELDS |= {"modules": list, "survivors": list}
MODULE_FIELDS = {"module": str, "mutants": int, "tried": int, "noticed": int}
SURVIVOR_FIELDS = {"module": str, "change": list, "answer": str}
REDO = "run `make mutants` again, or restore the file from version control"


def read_mutants(path=RECORD):
    """Reads the record and refuses one that is incomplete or contradicts itself.

    Args:
        path: of the file.

    Returns:
        dict with the keys of `FIELDS`; `modules` is a list of dicts with those of
        `MODULE_FIELDS`, `survivors` of dicts with those of `SURVIVOR_FIELDS`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: naming file, field and what to do.
    """
    record = read_fields(path, FIELDS, REDO)
    for one in record["modules"]:
        check_kinds(one, MODULE_FIELDS, path, REDO)
    for one in record["survivors"]:
        check_kinds(one, SURVIVOR_FIELDS, path, REDO)
    for one in record["modules"]:
        left = sum(survivor["module"] == one["module"] for survivor in record["survivors"])
        if not 0 <= one["noticed"] == one["tried"] - left <= one["mutants"]:
            raise ValueError(
                f"{path}: of {one['tried']} of {one['mutants']} mutants of {one['module']} "
                f"{one['noticed']} were noticed and {left} are listed, which cannot be; {REDO}."
            )
    return record


def mutants_block(path=RECORD):
    """Markdown table of the record, a line for each module, or what makes it.

    Args:
        path: of the file.

    Returns:
        str.

    Raises:
        ValueError: as `read_mutants`.
    """
    if not Path(path).is_file():
        return "*No planted fault is on record yet; `make mutants` plants them.*"
    record = read_mutants(path)
    lines = ["| module | planted, of all | noticed | share |", "| --- | ---: | ---: | ---: |"]
    rows = [*record["modules"], {"module": "all"} | _sums(record["modules"])]
    for one in rows:
        share = f"{100 * one['noticed'] / one['tried']:.0f} %" if one["tried"] else "–"
        counts = f"{one['tried']:,} of {one['mutants']:,}"
        lines.append(f"| {one['module']} | {counts} | {one['noticed']:,} | {share} |")
    answered = sum(bool(one["answer"]) for one in record["survivors"])
    text = (
        f"Planted by {record['tool']}, drawn with seed {record['seed']}, in "
        f"{record['seconds'] / 60:.0f} minutes; commit {record['git_commit'][:12]}. Of "
        f"{len(record['survivors'])} that no test noticed, {answered} are answered in the record: "
        f"why they change nothing, or which test notices them since."
    )
    return "\n".join([*lines, "", text])


def _sums(modules):
    names = ("mutants", "tried", "noticed")
    return {name: sum(one[name] for one in modules) for name in names}
