"""From run records to every number that the README and the notebook's title print.

Records are read by `utils.records.read` and rendered into the blocks between `<!-- generated:NAME -->`
and `<!-- /generated:NAME -->`. `python -m utils.records.report` renews README.md and Assignment4B.ipynb,
`--check` only says whether they are up to date, and `--repository owner/name` (or `make colab
REPO=owner/name`) enters the repository's public address, from which badge and links follow.
"""

import argparse
import difflib
import json
import re
import sys
from pathlib import Path

from utils.atomic import write_text
from utils.records.faults import RECORD_FILE, faults_block
from utils.records.read import (
    FAULTS,
    ROOT,
    STUDIES,
    SUBMISSION,
    mean_and_deviation,
    read_records,
    reported_record,
)
from utils.records.studies import STUDY_FILE, read_study, study_table
from utils.training.epoch_log import EPOCH_HEADER, format_epoch_row

# The public address, "owner/name". Empty: it is not known yet, and nothing links to it.
REPOSITORY = ""

NOTEBOOK = "Assignment4B.ipynb"


def _percent(share):
    return f"{100 * share:.2f} %"


def _minutes(run):
    compiling = run["compile_seconds"]  # not known of 2019
    return f"{run['seconds'] / 60:.1f}" + ("" if compiling is None else f" ({compiling / 60:.1f})")


def _range(interval):
    return " to ".join(f"{100 * bound:.1f}" for bound in interval)


def results_block(records):
    """Markdown table of all runs on CIFAR-10, without links: it reads the same in a notebook."""
    records = [record for record in records if record.on_cifar10]
    lines = [
        "| run | model | epochs | data | ran on | final accuracy (95 % interval) | best epoch | "
        + "with mirror image | minutes (compiling) |",
        "| --- | --- | ---: | --- | --- | --- | --- | --- | ---: |",
    ]
    for record in records:
        run, final, best = record.run, record.run["final"], record.run["best_epoch"]
        mirrored = run.get("flip_averaged")
        parts = (run["backend"], " then ".join(filter(None, record.devices)), run["precision"])
        place = ", ".join(filter(None, parts))
        count = run["data"]["train_images"]
        cells = (
            f"**{record.name}**: {record.label}",
            record.model,
            str(run["recipe"]["epochs"]),
            run["data"]["source"] + (f"; {count:,} training images" if count else ""),
            place or "not recorded",
            f"**{_percent(final['accuracy'])}** ({_range(final['ci95'])})",
            f"{_percent(best['accuracy'])} (epoch {best['epoch']})",
            _percent(mirrored["accuracy"]) if mirrored else "not measured",
            _minutes(run),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    note = (
        "Final is the test accuracy after the last epoch, with Wilson's interval. The best epoch "
        "is for comparison only: it is chosen on the images it is measured on, so it flatters. "
        "With mirror image: the logits of an image and of its mirror image averaged, an extra that "
        "the final accuracy does without. The minutes are those of the training, with the "
        "compiling of each start in brackets; a *shell* run was started by "
        "`python -m utils.commands.run_recipe`."
    )
    reported = reported_record(records)
    if reported.is_transcribed or not reported.run["full_result"]:
        note += (
            " **A full run of this repository is not recorded yet**: its rows show that everything "
            "works, not what it can reach."
        )
    remarks = [*seeds_remarks(records), *compression_remarks(records)]
    remarks += overtaking_remarks(records)
    return "\n".join([*lines, "", note, *(f"\n{remark}" for remark in remarks)])


def seeds_remarks(records):
    """Mean and spread of the full runs that differ in nothing but the seed; a sentence a group."""
    groups = {}
    for record in records:
        if record.run["full_result"] and not record.is_transcribed:
            run = record.run
            same = (run["recipe"], run["data"]["content_hash"], run["backend"], run["precision"])
            groups.setdefault(json.dumps(same), []).append(record)
    remarks = []
    for group in groups.values():
        label = group[0].label
        mean, deviation = mean_and_deviation([one.run["final"]["accuracy"] for one in group])
        seeds = ", ".join(str(seed) for seed in sorted(one.run["seed"] for one in group))
        remarks.append(
            f"{label}: one seed ({seeds}), so its spread is not known."
            if len(group) == 1
            else f"{label}: {len(group)} runs with seeds {seeds}, final accuracy "
            f"{_percent(mean)} on average, standard deviation {_percent(deviation)}."
        )
    return remarks


def compression_remarks(records):
    """That accuracies on a JPEG copy of the images are not those on the original ones."""
    names = [record.name for record in records if record.on_compressed_copy]
    if not names:
        return []
    return [
        f"**{', '.join(names)} used a JPEG copy of the images**, in training and test. Compression "
        "takes detail away, so this accuracy must not be compared with one on the original "
        "images, such as that of 2019."
    ]


def overtaking_remarks(records):
    """When the reported run, if it is a full one on the same images, passed the best of 2019."""
    reported = reported_record(records)
    submissions = [record for record in records if record.name == SUBMISSION]
    if not submissions or reported.is_transcribed or not reported.run["full_result"]:
        return []
    if reported.on_compressed_copy:
        return []
    best = submissions[0].run["best_epoch"]["accuracy"]
    seconds = 0.0
    for row in reported.history:
        seconds += row["seconds"]
        if row["val_accuracy"] > best:
            return [
                f"{reported.name} was above the best epoch of 2019 ({_percent(best)}) for the "
                f"first time after epoch {row['epoch']}, {seconds / 60:.1f} minutes."
            ]
    return [f"{reported.name} did not pass the best epoch of 2019 ({_percent(best)})."]


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


def studies_block(folder):
    """Table and figures of every study in a folder of `runs/`, or what makes one.

    Args:
        folder: path of `runs/studies`.

    Returns:
        Markdown.

    Raises:
        ValueError: as `utils.records.studies.read_study`.
    """
    parts = []
    for path in sorted(Path(folder).glob(f"*/{STUDY_FILE}")):
        study = read_study(path.parent)
        if not study.results:
            continue
        parts += [f"### {study.title}", study_table(study)]
        for figure in sorted(path.parent.glob("*.png")):
            address = f"runs/{STUDIES}/{path.parent.name}/{figure.name}"
            parts.append(f"![{study.title}]({address})")
    return "\n\n".join(parts) or "*No study is recorded yet; the commands above make them.*"


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
        f"pick `{NOTEBOOK}`; choose *Runtime > Change runtime type > T4 GPU*; drop the "
        f"repository's ZIP file on the folder icon, left; when it is complete, choose *Runtime > "
        f"Run all*."
    )


def check_repository(repository):
    """Returns `repository` if it is "owner/name" or empty, else raises ValueError."""
    if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)?", repository):
        raise ValueError(
            f"The repository must be given as owner/name, as in "
            f"https://github.com/owner/name, got {repository!r}."
        )
    return repository


def make_blocks(runs, repository):
    """All generated blocks, by name.

    Args:
        runs: path of `runs/`.
        repository: str, see `colab_block`.
    """
    records = read_records(runs)
    return {
        "results": results_block(records),
        "heatmaps": heatmap_block(records),
        "status": status_block(records),
        "epoch-log": epoch_log_block(records),
        "studies": studies_block(Path(runs) / STUDIES),
        "faults": faults_block(Path(runs) / FAULTS / RECORD_FILE),
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
    blocks = make_blocks(root / "runs", repository)
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
        prog="python -m utils.records.report",
        description="Renews the generated parts of the README.",
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
            write_text(path, new)
            print(f"renewed {name}")
    if args.check and stale:
        print("\nThe files above differ from the records; run: python -m utils.records.report")
        return 1
    if not stale:
        print("All generated parts are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
