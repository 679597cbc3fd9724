"""Puts what records say into words: fills the numbers into the texts of `texts.md.jinja`.

Jinja, which nbconvert brings, rather than `str.format`: tables have loops and sentences have
conditions, and both belong to the text.
"""

from pathlib import Path

import jinja2

from utils.records import compare
from utils.records.choose import reported_record
from utils.records.read import CURVES_FILE
from utils.training.epoch_log import EPOCH_HEADER, format_epoch_row


def _row(lines):
    """A row of a Markdown table from its cells, one a line."""
    cells = lines.strip("\n").replace("|", "\\|").split("\n")
    return f"| {' | '.join(cells)} |\n"


def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,  # a wrong name is an error, not an empty text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "distinct": lambda values: " and ".join(map(str, sorted(set(values)))),
        "minutes": lambda seconds: f"{seconds / 60:.1f}",
        "paragraph": lambda text: " ".join(text.split()) + "\n",
        "percent": lambda share: f"{100 * share:.2f} %",
        "points": lambda share: f"{100 * share:+.2f}",
        "row": _row,
    }
    return environment


_TEXTS = _environment().get_template("texts.md.jinja").module


def text(name, *values, **named):
    """The text of a macro of `texts.md.jinja`, without blank lines around it."""
    return str(getattr(_TEXTS, name)(*values, **named)).strip("\n")


def headline(records):
    """One paragraph: what was reached, in which time, on what, against 2019."""
    return text("headline", reported_record(records), compare.submission_of_2019(records))


def results(records):
    """Markdown table of all runs on CIFAR-10, without links: it reads the same in a notebook."""
    records = [record for record in records if record.on_cifar10]
    reported, submission = reported_record(records), compare.submission_of_2019(records)
    repeated = compare.recipe_of_2019_repeated(records)
    against = reproduction = passed = None
    if repeated:
        against = compare.difference(reported.run["final"], repeated.run["final"])
    if submission and repeated and not repeated.on_compressed_copy:
        reproduction = compare.difference(repeated.run["final"], submission.run["final"])
    if submission:
        passed = compare.overtaking(reported, submission.run["best_epoch"]["accuracy"])
    return text(
        "results",
        records=records,
        reported=reported,
        submission=submission,
        seeds=compare.seeds_of_full_runs(records),
        repeated=repeated,
        against=against,
        reproduction=reproduction,
        passed=passed,
    )


def status(records):
    """The four lines with which the submission of 2019 began."""
    return text("status", reported_record(records))


def heatmaps(records):
    """The Grad-CAM figure of the reported run, else of another one, else what makes it."""
    drawn = [
        record
        for record in (reported_record(records), *records)
        if (record.folder / "gradcam.png").is_file()
    ]
    return text("heatmaps", drawn[0] if drawn else None)


def epoch_log(records):
    """The log of the reported run, in the very lines that training printed, and drawn curves."""
    record = reported_record(records)
    lines = map(format_epoch_row, record.history)
    drawn = [one for one in records if (one.folder / CURVES_FILE).is_file()]
    return text("epoch_log", record, EPOCH_HEADER, lines, drawn, CURVES_FILE)


def colab(repository, notebook):
    """How to open the notebook in Colab: a badge, or by upload while no address is known.

    Args:
        repository: `"owner/name"` or `""`.
        notebook: file name.
    """
    return text("colab", repository, notebook)
