"""Puts what records say into words: fills the numbers into the texts of `texts.md.jinja`.

Jinja, which nbconvert brings, rather than `str.format`: tables have loops and sentences have
conditions, and both belong to the text.
"""

import re
from pathlib import Path

import jinja2

from utils.figures.style import read_texts
from utils.records import compare
from utils.records.benchmarks import spread
from utils.records.choose import reported_record
from utils.records.intervals import mean_and_deviation
from utils.records.read import CURVES_FILE, HEADLINE_FILE, HEATMAPS_FILE, RANGE_FIGURE, ROOT
from utils.training.epoch_log import EPOCH_HEADER, format_epoch_row

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _row(lines):
    """A row of a Markdown table from its cells, one a line."""
    cells = lines.strip("\n").replace("|", "\\|").split("\n")
    return f"| {' | '.join(cells)} |\n"


def _duration(seconds):
    """ "82 seconds" or "93 minutes"."""
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def mean_text(accuracies):
    """Mean of accuracies 0..1, with what is known of their spread.

    Of three on the sample standard deviation: "93.49 ± 0.15 %"; of two, of which it would say
    nothing that they do not, "90.73 % (91.43, 90.04)"; of one "94.74 %".
    """
    mean, deviation = (100 * one for one in mean_and_deviation(accuracies))
    if len(accuracies) > 2:
        return f"{mean:.2f} ± {deviation:.2f} %"
    both = ", ".join(f"{100 * one:.2f}" for one in accuracies)
    return f"{mean:.2f} %" + (f" ({both})" if len(accuracies) == 2 else "")


def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,  # a wrong name is an error, not an empty text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "duration": _duration,
        "distinct": lambda values: " and ".join(map(str, sorted(set(values)))),
        "mean": mean_text,
        "minutes": lambda seconds: f"{seconds / 60:.{0 if seconds >= 600 else 1}f}",
        "paragraph": lambda text: " ".join(text.split()) + "\n",
        "percent": lambda share: f"{100 * share:.2f} %",
        "points": lambda share: f"{100 * share:+.2f}",
        "row": _row,
        "spread": spread,
        # A character, not a tag: nbconvert strips tags from text.
        "superscript": lambda number: str(number).translate(SUPERSCRIPTS),
    }
    return environment


_TEXTS = _environment().get_template("texts.md.jinja").module


def text(name, *values, **named):
    """The text of a macro of `texts.md.jinja`, without blank lines around it."""
    return str(getattr(_TEXTS, name)(*values, **named)).strip("\n")


def picture(path, fallback=""):
    """Alternative text of a figure in `runs/`, as Markdown takes it; "" where there is no figure.

    Args:
        path: of the PNG file, which keeps what `utils.figures.style.save_png` wrote in it.
        fallback: for a file that keeps none.
    """
    if not Path(path).is_file():
        return ""
    return re.sub(r"([\[\]])", r"\\\1", read_texts(path).get("Description") or fallback)


def badges(repository, notebook):
    """One line: what the repository runs on, its license and, with an address, a link to Colab.

    The set-up files name the versions.

    Args:
        repository: `"owner/name"` or `""`.
        notebook: file name.
    """
    setup = (ROOT / "scripts/setup.sh").read_text(encoding="utf-8")
    [python] = set(re.findall(r"needs (3\.\d+ to 3\.\d+)", setup))
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    least = dict(re.findall(r"^(\w+)>=([\d.]+)", needed, flags=re.MULTILINE))
    return text("badges", python, least["keras"], repository, notebook)


def headline(records, runs, studies=()):
    """What was reached, in which time, on what, against 2019; and the figure of it if drawn.

    Args:
        records: list of `utils.records.read.Record`.
        runs: path of the folder with the figure.
        studies: list of `utils.records.studies.Study`, which may have more seeds of the recipe.
    """
    reported = reported_record(records)
    return text(
        "headline",
        reported,
        compare.submission_of_2019(records),
        compare.recipe_of_2019_repeated(records),
        compare.more_seeds(reported, studies),
        picture(Path(runs) / HEADLINE_FILE),
    )


def results(records, studies=()):
    """Small table of the runs on CIFAR-10, with notes; it reads the same in a notebook.

    Args:
        records: list of `utils.records.read.Record`.
        studies: list of `utils.records.studies.Study`, which may have more seeds of the recipe.
    """
    records = [record for record in records if record.on_cifar10]
    if not records:
        return text("no_results")
    reported, submission = reported_record(records), compare.submission_of_2019(records)
    repeated = compare.recipe_of_2019_repeated(records)
    more = compare.more_seeds(reported, studies)
    more_repeated = more and compare.more_seeds(repeated, studies, more.place)
    full = [record for record in records if record.is_full_run_of_ours]
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
        more=more,
        more_repeated=more_repeated,
        spread_is_known=all(compare.more_seeds(record, studies) for record in full),
        repeated=repeated,
        against=against,
        reproduction=reproduction,
        passed=passed,
    )


def status(records):
    """The four lines with which the submission of 2019 began."""
    return text("status", reported_record(records))


def all_runs(records):
    """Table of all runs with all that is known of each, and the figures of their records.

    The addresses of its figures count from `runs/`.
    """
    figures = []
    for one in records:
        behind = " and ".join(other.name for other in compare.behind(one, records))
        captions = {RANGE_FIGURE: f"A range test of the network of {one.name}"}
        captions[CURVES_FILE] = f"{one.name}, in front of {behind}"
        for name, caption in captions.items():
            if alt := picture(one.folder / name):
                figures.append((caption, alt, f"{one.name}/{name}"))
    return text("all_runs", records, figures)


def heatmaps(records):
    """The Grad-CAM figure of the reported run, else of another one, else what makes it."""
    drawn = [
        record
        for record in (reported_record(records), *records)
        if (record.folder / HEATMAPS_FILE).is_file()
    ]
    if not drawn:
        return text("heatmaps", None, "")
    fallback = "Grad-CAM heatmaps over test images, with predicted class and confidence"
    return text("heatmaps", drawn[0], picture(drawn[0].folder / HEATMAPS_FILE, fallback))


def epoch_log(records):
    """The log of the reported run, in the very lines that training printed, and drawn curves."""
    record = reported_record(records)
    lines = [format_epoch_row(row) for row in record.history]
    return text("epoch_log", record, EPOCH_HEADER, lines, picture(record.folder / CURVES_FILE))


def colab(repository, notebook):
    """How to open the notebook in Colab: a badge, or by upload while no address is known.

    Args:
        repository: `"owner/name"` or `""`.
        notebook: file name.
    """
    return text("colab", repository, notebook)
