"""From run records to every number that the README and the notebook's title print.

A record is a folder `runs/<name>/` with `history.csv` (a row an epoch) and `run.json`. It is
read, checked against itself, and rendered into the blocks between `<!-- generated:NAME -->` and
`<!-- /generated:NAME -->`. `python -m utils.report` renews README.md and Assignment4B.ipynb,
`--check` only says whether they are up to date, and `--repository owner/name` (or `make colab
REPO=owner/name`) enters the repository's public address, from which badge and links follow.

Which run is reported: of the runs of our recipe measured on CIFAR-10's test set, a full result
before any other, then the one on more test images, then the longer one, then the last by name. The
accuracy never decides: choosing the best of several runs would be choosing on the test set.
"""

import argparse
import csv
import dataclasses
import difflib
import json
import math
import re
import sys
from pathlib import Path

from utils.epoch_log import CSV_FIELDS, EPOCH_HEADER, format_epoch_row

# The public address, "owner/name". Empty: it is not known yet, and nothing links to it.
REPOSITORY = ""

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "Assignment4B.ipynb"
SUBMISSION = "2019-submission"
REPORTED_RECIPE = "one-cycle"
REDO = "do not edit records by hand: run it again, or restore the file from version control"
# Fields of run.json, with dots for nesting. Only a record that names the `source` it was
# transcribed from may say null ("not known") in those of the second group.
REQUIRED = (
    *("name", "full_result", "recipe.name", "recipe.depth", "recipe.epochs"),
    *("data.source", "data.test_images", "data.validation", "seconds"),
    *("final.accuracy", "final.loss", "final.correct", "final.images", "final.ci95"),
    *("best_epoch.epoch", "best_epoch.accuracy"),
)
KNOWN_TODAY = (
    *("profile", "seed", "data.content_hash", "data.train_images", "versions"),
    *("backend", "device", "precision", "parameters", "git_commit"),
)


def wilson_interval(correct, total, z=1.96):
    """Confidence interval of a share, after Wilson 1927; unlike p +- z s it never leaves 0..1.

    Args:
        correct: int, 0..total.
        total: int >= 1.
        z: quantile of the normal distribution; 1.96 gives a 95 % interval.

    Returns:
        (low, high), floats in 0..1.

    Raises:
        ValueError: on counts outside their range.
    """
    if not (total >= 1 and 0 <= correct <= total):
        raise ValueError(
            f"correct must be from 0 to total and total at least 1, got {correct} of {total}."
        )
    share, spread = correct / total, z * z / total
    center = share + spread / 2
    margin = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (center - margin) / (1 + spread), (center + margin) / (1 + spread)
    return max(low, 0.0), min(high, 1.0)  # rounding may leave -1e-19


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as it was recorded.

    Attributes:
        folder: `pathlib.Path` of the record.
        run: dict, the content of run.json.
        history: list of dicts, keys `utils.epoch_log.CSV_FIELDS`, one an epoch.
    """

    folder: Path
    run: dict
    history: list

    @property
    def name(self):
        return self.run["name"]

    @property
    def model(self):
        return f"ResNet{self.run['recipe']['depth']}v2"

    @property
    def is_transcribed(self):
        """Whether the record was copied from another source, as that of 2019 was."""
        return bool(self.run.get("source"))

    @property
    def on_test_set(self):
        return self.run["data"]["validation"].startswith("test set")

    @property
    def on_cifar10(self):
        return self.run["data"]["source"].startswith("CIFAR-10")

    @property
    def label(self):
        """What the run is, so that no number is taken for more than it is."""
        recipe = self.run["recipe"]["name"]
        if self.is_transcribed:
            return "transcribed from its log"
        if self.run["full_result"]:
            return f"{recipe}, full profile"
        kind = self.run["device"].split()[0]  # "CPU" of "CPU (AMD EPYC, 2 cores)"
        place = "" if self.on_test_set else f"; measured on {self.run['data']['validation']}"
        return f"{recipe}; {self.run['profile']} profile, {kind}: not the full result{place}"


def read_history(path):
    """Reads history.csv.

    Args:
        path: file name or `pathlib.Path`.

    Returns:
        List of dicts with the keys of `CSV_FIELDS`; epoch an int, the rest floats, or None where
        the file has nothing.

    Raises:
        ValueError: when columns are missing, epochs are not 1..n, or a value is no number or no
            accuracy.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != CSV_FIELDS:
        missing = [name for name in CSV_FIELDS if name not in (reader.fieldnames or ())]
        raise ValueError(
            f"{path}: the columns are {reader.fieldnames}, missing {missing}; they must be "
            f"{','.join(CSV_FIELDS)}; {REDO}."
        )
    history = []
    for number, row in enumerate(rows, start=1):
        try:
            values = {key: float(value) if value else None for key, value in row.items()}
        except (TypeError, ValueError):
            raise ValueError(f"{path}: row {number} is {row}, not all numbers; {REDO}.") from None
        if values["epoch"] != number:
            raise ValueError(
                f"{path}: epoch in row {number} is {row['epoch']!r}, expected {number}: epochs "
                f"must count from 1 without gap; {REDO}."
            )
        for key in ("accuracy", "val_accuracy"):
            if values[key] is None or not 0 <= values[key] <= 1:
                raise ValueError(
                    f"{path}: {key} of epoch {number} is {row[key]!r}, but it must lie in 0..1; "
                    f"{REDO}."
                )
        history.append({**values, "epoch": number})
    if not history:
        raise ValueError(f"{path}: no epoch is recorded; finish the run first.")
    return history


def _lookup(run, field):
    for key in field.split("."):
        if not isinstance(run, dict) or key not in run:
            raise KeyError(field)
        run = run[key]
    return run


def read_record(folder):
    """Reads a run record and refuses one that is incomplete or contradicts itself.

    Args:
        folder: path of `runs/<name>`.

    Returns:
        `Record`.

    Raises:
        ValueError: naming file, field, both values and what to do.
    """
    folder = Path(folder)
    path, history_path = folder / "run.json", folder / "history.csv"
    for needed in (path, history_path):
        if not needed.is_file():
            raise ValueError(
                f"{needed} is missing, so {folder} is no complete record; finish the run (start "
                f"it again, it resumes) or remove the folder."
            )
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {REDO}.") from None
    for field in REQUIRED + KNOWN_TODAY:
        try:
            value = _lookup(run, field)
        except KeyError:
            raise ValueError(f"{path}: the field {field} is missing; {REDO}.") from None
        if value is None and (field in REQUIRED or not run.get("source")):
            raise ValueError(
                f"{path}: {field} is null, but only a record transcribed from a named `source` "
                f"may leave it open; {REDO}."
            )
    record = Record(folder, run, read_history(history_path))
    _check_against_itself(record, path, history_path)
    return record


def _check_against_itself(record, path, history_path):
    run, history = record.run, record.history
    final, images = run["final"], run["final"]["images"]
    last = history[-1]
    best = max(history, key=lambda row: row["val_accuracy"])
    interval = wilson_interval(final["correct"], images)
    # Accuracies are rounded in the file; 0.05 images is below any count and above any rounding.
    close = 0.05 / images
    log = f"{history_path} gives"
    for field, value, other, expected, tolerance in (
        ("name", run["name"], "the folder is", record.folder.name, None),
        ("recipe.epochs", run["recipe"]["epochs"], log, len(history), None),
        ("final.images", images, "data.test_images is", run["data"]["test_images"], None),
        *[
            ("final.accuracy", final["accuracy"], source, accuracy, close)
            for source, accuracy in (
                ("final.correct / final.images is", final["correct"] / images),
                (f"the last row of {log}", last["val_accuracy"]),
            )
        ],
        ("final.loss", final["loss"], f"the last row of {log}", last["val_loss"], 1e-4),
        ("final.ci95[0]", final["ci95"][0], "the Wilson interval starts at", interval[0], 6e-4),
        ("final.ci95[1]", final["ci95"][1], "the Wilson interval ends at", interval[1], 6e-4),
        ("best_epoch.epoch", run["best_epoch"]["epoch"], log, best["epoch"], None),
        (
            *("best_epoch.accuracy", run["best_epoch"]["accuracy"], log),
            *(best["val_accuracy"], close),
        ),
    ):
        if tolerance is None:
            equal = value == expected
        else:  # after divergence the loss is NaN, in both places
            both_nan = math.isnan(value) and math.isnan(expected)
            equal = both_nan or abs(value - expected) <= tolerance
        if not equal:
            raise ValueError(f"{path}: {field} is {value}, but {other} {expected}; {REDO}.")


def read_records(folder=ROOT / "runs"):
    """Reads all records, the submission of 2019 first, then the reported run, then by name.

    Args:
        folder: path of `runs/`.

    Returns:
        List of `Record`. An unfinished run (`plan.json`, but no `run.json`) is passed over.

    Raises:
        ValueError: when a folder in it is no sound record.
    """
    folders = sorted(path for path in Path(folder).iterdir() if path.is_dir())
    # A run that is under way has a plan and no record yet.
    folders = [
        path
        for path in folders
        if (path / "run.json").exists() or not (path / "plan.json").exists()
    ]
    records = [read_record(path) for path in folders]
    reported = reported_record(records)
    return sorted(
        records, key=lambda record: (record.name != SUBMISSION, record != reported, record.name)
    )


def reported_record(records):
    """The run whose numbers head the README; the module's docstring states the rule.

    Args:
        records: list of `Record`, at least one.

    Returns:
        `Record`; that of 2019 while there is no other.
    """
    ours = [
        record
        for record in records
        if record.run["recipe"]["name"].split(",")[0] == REPORTED_RECIPE
        and record.on_test_set
        and record.on_cifar10
    ]
    return max(
        ours or records,
        key=lambda record: (
            record.run["full_result"],
            record.run["final"]["images"],
            record.run["recipe"]["epochs"],
            record.name,
        ),
    )


def _percent(share):
    return f"{100 * share:.2f} %"


def _range(interval):
    return " to ".join(f"{100 * bound:.1f}" for bound in interval)


def results_block(records):
    """Markdown table of all runs, without links, so that it reads the same in a notebook."""
    lines = [
        "| run | model | epochs | data | ran on | final accuracy (95 % interval) | best epoch | "
        + "minutes |",
        "| --- | --- | ---: | --- | --- | --- | --- | ---: |",
    ]
    for record in records:
        run, final, best = record.run, record.run["final"], record.run["best_epoch"]
        place = ", ".join(run[key] for key in ("backend", "device", "precision") if run[key])
        count = run["data"]["train_images"]
        cells = (
            f"**{record.name}**: {record.label}",
            record.model,
            str(run["recipe"]["epochs"]),
            run["data"]["source"] + (f"; {count:,} training images" if count else ""),
            place or "not recorded",
            f"**{_percent(final['accuracy'])}** ({_range(final['ci95'])})",
            f"{_percent(best['accuracy'])} (epoch {best['epoch']})",
            f"{run['seconds'] / 60:.1f}",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    note = (
        "Final is the test accuracy after the last epoch, with Wilson's interval. The best epoch "
        "is for comparison only: it is chosen on the images it is measured on, so it flatters."
    )
    if not any(record.run["full_result"] and not record.is_transcribed for record in records):
        note += (
            " **A full run of this repository is not recorded yet**: its rows show that everything "
            "works, not what it can reach."
        )
    return "\n".join([*lines, "", note])


def status_block(records):
    """The four lines with which the submission of 2019 began."""
    record = reported_record(records)
    final = record.run["final"]
    policy = {"one_cycle": "Super Convergence (OneCyclePolicy)"}
    schedule = record.run["recipe"].get("schedule")
    origin = f"(last epoch of {record.name}; {record.label})"
    lines = (
        f"Model: **{record.model}**  ",
        f"Val Acc: **{100 * final['accuracy']:.2f}%** {origin}  ",
        f"LR : {policy.get(schedule, 'Super Convergence, one triangle by epoch')}  ",
        "GradCam Implementation: **Done**",
    )
    return "\n".join(lines)


def heatmap_block(records):
    """The Grad-CAM figure of the reported run, else of another one, else what makes it."""
    reported = reported_record(records)
    for record in [reported, *records]:
        if (record.folder / "gradcam.png").is_file():
            return (
                f"![Grad-CAM heatmaps over test images, with predicted class and confidence]"
                f"(runs/{record.name}/gradcam.png)\n\n"
                f"Where the network looked: Grad-CAM on test images, drawn by {record.name} "
                f"({record.label}). Each pair is the image and its heatmap."
            )
    return "*The figure is drawn by the notebook's run; none is recorded yet.*"


def epoch_log_block(records):
    """The log of the reported run, in the very lines that training printed."""
    record = reported_record(records)
    final = record.run["final"]
    title = f"{record.name} ({record.label}). Learning rate and momentum: last step of the epoch."
    count = f"{final['correct']:,} of {final['images']:,} test images right"
    lines = (
        *(title, "", "```text", EPOCH_HEADER),
        *(format_epoch_row(row) for row in record.history),
        *("", f"after the last epoch: {count}, accuracy {final['accuracy']:.4f}", "```"),
    )
    return "\n".join(lines)


def colab_block(repository=None):
    """How to open the notebook in Colab: a badge, or by upload while no address is known.

    Args:
        repository: `"owner/name"`, `""`, or None for `REPOSITORY`.

    Returns:
        Markdown.

    Raises:
        ValueError: when the address is not of that form.
    """
    repository = check_repository(REPOSITORY if repository is None else repository)
    if repository:
        notebook = f"https://colab.research.google.com/github/{repository}/blob/main/{NOTEBOOK}"
        return (
            f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
            f"({notebook})\n\n"
            f"The badge opens the notebook in Colab; its set-up cell fetches the rest from "
            f"[{repository}](https://github.com/{repository}) and installs only what is missing. "
            f"For a GPU choose *Runtime > Change runtime type > T4 GPU* first."
        )
    return (
        f"In Colab: open <https://colab.research.google.com>, choose *File > Upload notebook* and "
        f"pick `{NOTEBOOK}`; choose *Runtime > Change runtime type > T4 GPU*; then run the cells "
        f"from the top. The set-up cell says what it misses and where to upload it."
    )


def check_repository(repository):
    """Returns `repository` if it is "owner/name" or empty, else raises ValueError."""
    if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)?", repository):
        raise ValueError(
            f"The repository must be given as owner/name, as in "
            f"https://github.com/owner/name, got {repository!r}."
        )
    return repository


def make_blocks(records, repository):
    """All generated blocks, by name."""
    return {
        "results": results_block(records),
        "heatmaps": heatmap_block(records),
        "status": status_block(records),
        "epoch-log": epoch_log_block(records),
        "colab": colab_block(repository),
    }


def fill_blocks(text, blocks, place="the text"):
    """Replaces what stands between the markers of each generated block.

    Args:
        text: Markdown.
        blocks: dict of name to content.
        place: what to call the text in an error.

    Returns:
        The renewed text.

    Raises:
        ValueError: on a marker without partner or a block that is not known.
    """
    marker = re.compile(r"<!-- (/?)generated:([\w-]+) -->")
    open_name = None
    for slash, name in marker.findall(text):
        if name not in blocks or (open_name != name if slash else open_name is not None):
            raise ValueError(
                f"{place}: the marker <!-- {slash}generated:{name} --> is unknown or has no "
                f"partner; blocks are {', '.join(blocks)}, each opened and closed once."
            )
        open_name = None if slash else name
    if open_name is not None:
        raise ValueError(f"{place}: the block {open_name} is not closed; add its end marker.")
    return re.sub(
        r"(<!-- generated:([\w-]+) -->\n).*?(<!-- /generated:\2 -->)",
        lambda match: match[1] + blocks[match[2]] + "\n" + match[3],
        text,
        flags=re.DOTALL,
    )


def _set_constant(code, repository):
    return re.sub(
        r'^(REPOSITORY = )"[^"\n]*"', rf'\g<1>"{repository}"', code, count=1, flags=re.MULTILINE
    )


def renew_notebook(text, blocks, repository):
    """Renews blocks in the Markdown cells and the constant in the code cells of a notebook.

    Args:
        text: str, the notebook file.
        blocks: dict of name to content.
        repository: str.

    Returns:
        The new file; the very same text when no cell changes.
    """
    notebook = json.loads(text)
    changed = False
    for cell in notebook["cells"]:
        old = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            new = fill_blocks(old, blocks, NOTEBOOK)
        else:
            new = _set_constant(old, repository)
        if new != old:
            changed = True
            cell["source"] = new.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n" if changed else text


def renewed_files(root=ROOT, repository=None):
    """Computes what the generated files should hold; writes nothing.

    Args:
        root: path of the repository.
        repository: new public address, or None to keep the present one.

    Returns:
        Dict of path to (present text, right text), for every file that is generated in part.

    Raises:
        ValueError: on an unsound record, a broken marker or a malformed address.
    """
    root = Path(root)
    module = root / "utils" / "report.py"
    code = module.read_text(encoding="utf-8")
    if repository is None:
        repository = re.search(r'^REPOSITORY = "([^"\n]*)"', code, flags=re.MULTILINE)[1]
    check_repository(repository)
    blocks = make_blocks(read_records(root / "runs"), repository)
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    files = {
        module: (code, _set_constant(code, repository)),
        readme: (text, fill_blocks(text, blocks, "README.md")),
    }
    notebook = root / NOTEBOOK
    if notebook.is_file():
        text = notebook.read_text(encoding="utf-8")
        files[notebook] = (text, renew_notebook(text, blocks, repository))
    return files


def main(arguments=None, root=ROOT):
    """Parses the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.report", description="Renews the generated parts of the README."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="enter the public address")
    args = parser.parse_args(arguments)
    try:
        files = renewed_files(root, args.repository)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    stale = {path: texts for path, texts in files.items() if texts[0] != texts[1]}
    for path, (old, new) in stale.items():
        name = path.relative_to(root).as_posix()
        if args.check:
            lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
            sys.stdout.writelines(difflib.unified_diff(*lines, name, f"{name}, renewed"))
        else:
            path.write_text(new, encoding="utf-8")
            print(f"renewed {name}")
    if args.check and stale:
        print("\nThe files above differ from the records; run: python -m utils.report")
        return 1
    if not stale:
        print("All generated parts are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
