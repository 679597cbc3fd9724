"""Reads the record of `make faults`, and renders it as the README's table of what is survived.

What counts as survived, by group:

- kills, repeats: the run ends like an undisturbed one, to the last bit.
- files: a damaged file ends in an error that names it, in the checkpoint before, or in the same
  value as the whole one.
- disk: the old file stays, the error says what and where, and all goes on when there is room.
- memory: the error names a batch size to try, and the work goes on with it; a prediction takes it
  by itself.
- fuzz: an input ends within five seconds, in a value or in an error of ours, without a crash,
  foreign code or a write where none belongs. The value is compared with nothing.
- hostile: as fuzz, with what the tests that are run by name demand beside.
"""

from pathlib import Path

from utils.records.check import check_kinds, read_fields
from utils.records.read import FAULTS, ROOT

RECORD_FILE = "faults.json"
RECORD = ROOT / "runs" / FAULTS / RECORD_FILE
# Fields of the record, and of each of its faults.
FIELDS = {"faults": list, "seconds": float, "device": str, "versions": dict, "git_commit": str}
FAULT_FIELDS = {"group": str, "fault": str, "tries": int, "survived": int, "seconds": float}
FAULT_FIELDS |= {"note": str, "failures": list}
NONE_YET = "*No fault is on record yet; `make faults` tries them.*"
GROUPS = {  # of faults, as README names them
    "kills": "a training is killed at a random moment, and started again",
    "files": "a file is torn, flipped bit by bit, or another one",
    "disk": "the disk is full, or a limit on the size of files is reached",
    "memory": "a device says that it has no room for a batch",
    "fuzz": "senseless input",
    "hostile": "files and servers that mean harm",
    "repeats": "the same training again, undisturbed",
}
REDO = "run `make faults` again, or restore the file from version control"


def read_faults(path=RECORD):
    """Reads the record and refuses one that is incomplete or contradicts itself.

    Args:
        path: of the file.

    Returns:
        dict with the keys of `FIELDS`; `faults` is a list of dicts with those of `FAULT_FIELDS`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: naming file, field and what to do.
    """
    record = read_fields(path, FIELDS, REDO)
    for fault in record["faults"]:
        check_kinds(fault, FAULT_FIELDS, path, REDO)
        if not 0 <= fault["survived"] <= fault["tries"]:
            raise ValueError(
                f"{path}: of {fault['tries']} tries of {fault['fault']!r} {fault['survived']} "
                f"were survived, which cannot be; {REDO}."
            )
    return record


def faults_summary(path=RECORD):
    """Markdown table with a line for each group of faults, or what makes the record.

    Args:
        path: of the file.

    Returns:
        str.

    Raises:
        ValueError: as `read_faults`.
    """
    if not Path(path).is_file():
        return NONE_YET
    record, groups = read_faults(path), {}
    for fault in record["faults"]:
        groups.setdefault(fault["group"], []).append(fault)
    lines = ["| what happens | tries | survived |", "| --- | ---: | ---: |"]
    for name, faults in groups.items():
        tries, survived = (sum(one[key] for one in faults) for key in ("tries", "survived"))
        count = f"{survived:,}" if survived == tries else f"**{survived:,}**"
        lines.append(f"| {GROUPS.get(name, name)} | {tries:,} | {count} |")
    return "\n".join(lines)


def faults_block(path=RECORD):
    """Markdown table of the record, a line for each fault, or what makes it.

    Args:
        path: of the file.

    Returns:
        str.

    Raises:
        ValueError: as `read_faults`.
    """
    if not Path(path).is_file():
        return NONE_YET
    record = read_faults(path)
    lines = ["| fault | tries | survived | seconds |", "| --- | ---: | ---: | ---: |"]
    for fault in record["faults"]:
        name = fault["fault"] + (f" ({fault['note']})" if fault["note"] else "")
        survived = f"{fault['survived']:,}"
        if fault["failures"]:
            survived = f"**{survived}**"
        name = name.replace("|", "\\|")
        lines.append(f"| {name} | {fault['tries']:,} | {survived} | {fault['seconds']:.0f} |")
    tries = sum(fault["tries"] for fault in record["faults"])
    inputs = sum(fault["tries"] for fault in record["faults"] if fault["group"] == "fuzz")
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    text = (
        f"{tries:,} tries, {inputs:,} of them senseless inputs, in {record['seconds'] / 60:.0f} "
        f"minutes on {record['device']}; {versions}; commit {record['git_commit'][:12]}."
    )
    if any(fault["failures"] for fault in record["faults"]):
        text += " A bold count is a fault of this repository, described in the record."
    return "\n".join([*lines, "", text])
