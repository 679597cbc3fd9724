"""The pages, notebook and run records say the same, and no link leads nowhere."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from checked_numbers import FENCE, mistakes, mutants

from utils.commands import studies
from utils.model.resnet import STAGE_WIDTHS
from utils.records import pages
from utils.records import read as records
from utils.records import studies as study_records
from utils.records.choose import reported_record
from utils.records.drawings import drawings
from utils.settings import RECIPES, Recipe
from utils.training.epoch_log import EPOCH_HEADER, format_epoch_row
from utils.training.recipe_schedule import decay_e_foldings
from utils.training.schedule import seed_triangle_proposal

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "Assignment4A.md", "runs/README.md")
PAGES += ("runs/2019-submission/README.md", "benchmarks/README.md", "benchmarks/LIBRARIES.md")
RESULTS = ("README.md", "runs/README.md", "runs/2019-submission/README.md")  # pages with results
NOTEBOOK = ROOT / pages.NOTEBOOK
REPOSITORY = pages.present_repository()
GENERATED = re.compile(r"<!-- generated:([\w-]+) -->\n(.*?)<!-- /generated:\1 -->", re.DOTALL)


def prose():
    """The pages with results without their generated blocks, which are compared as a whole."""
    pages_text = "\n\n".join((ROOT / page).read_text(encoding="utf-8") for page in RESULTS)
    return GENERATED.sub("", pages_text)


def expected_numbers():
    submission = records.read_record(ROOT / "runs" / records.SUBMISSION)
    recipe, history = submission.run["recipe"], submission.history
    log = {row["epoch"]: row for row in history}
    rising = [log[epoch]["loss"] for epoch in range(16, 25)]
    assert min(rising) == rising[0] and max(rising) == rising[-1]
    rates = [row["learning_rate_first"] for row in history]
    peak = rates.index(max(rates))
    flat = [row for row in history[peak:] if row["learning_rate_first"] == rates[-1]]
    accuracies = [100 * row["val_accuracy"] for row in flat]
    proposals = [seed_triangle_proposal(row["epoch"] - 1) for row in flat]
    stubborn = [
        row["epoch"]
        for row, proposal in zip(flat, proposals, strict=True)
        if proposal > row["learning_rate_first"] + 1e-9
    ]
    final, best = submission.run["final"], submission.run["best_epoch"]
    steps = -(-submission.run["data"]["train_images"] // recipe["batch_size"])
    ours = RECIPES["one-cycle"]
    studied = [
        records.read_record(ROOT / "runs/studies/decay" / f"{entry.name}-seed-0").run
        for entry in studies.decay()
    ]
    peaks = study_records.read_study(ROOT / "runs/studies/peaks").results[0][1][0].run
    return {
        "decay": [
            # 2 and 1 are those of the formula
            *(2, 1),
            *(decay_e_foldings(Recipe(**r["recipe"]), r["data"]["train_images"]) for r in studied),
            *(decay_e_foldings(RECIPES["seed-2019"], 50_000), decay_e_foldings(ours, 50_000)),
        ],
        "peaks": [peaks["recipe"]["depth"], peaks["data"]["train_images"]],
        "training_faults": [
            *(recipe["max_lr"], rising[0], rising[-1], 16, 24),
            *(100, steps, peak + 1, (peak + 1) * steps),
            *(recipe["max_momentum"], recipe["max_lr"] / (1 - recipe["max_momentum"])),
            ours.base_momentum,
            *(len(flat), rates[-1], min(accuracies), max(accuracies)),
            *(stubborn[0], stubborn[-1], max(proposals), rates[-1]),
            *(100 * best["accuracy"], best["epoch"], 100 * final["accuracy"]),
            submission.run["seconds"] / 60,
            *recipe["erase_fill"],
            *(recipe["bn_momentum"], 25, log[25]["val_accuracy"], log[25]["accuracy"]),
            ours.bn_momentum,
        ],
        # 32 channels and 32 x 32 pixels are what the submission's code did, not in its log.
        "gradcam_faults": [32, STAGE_WIDTHS[-1][1], 32, 32],
    }


def test_generated_parts_are_up_to_date():
    stale = [path.name for path, (old, new) in pages.renewed_files(ROOT).items() if old != new]
    assert stale == [], "run: python -m utils.commands.report"


def test_every_generated_block_has_its_place():
    names = pages.make_blocks(ROOT / "runs", "")
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages.PAGES)
    assert sorted(name for name, _ in GENERATED.findall(text)) == sorted(names)


def test_figures_show_their_records():
    stale = [one.path.name for one in drawings(ROOT / "runs") if not one.is_up_to_date()]
    assert stale == [], "run: python -m utils.commands.report"


def test_every_figure_is_in_the_index_and_has_an_alternative_text():
    index = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Figures")[2]
    found = sorted((ROOT / "runs").rglob("*.png"))
    assert len(found) > 5
    assert [path for path in found if f"{path.name}`" not in index] == []
    for page in PAGES:
        text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
        for alt in re.findall(r"!\[((?:\\.|[^\]\\])*)\]\(", text):
            assert len(alt) > 10, f"{page} has a picture without alternative text"


def test_readme_stays_short():
    assert len(README.splitlines()) < 400
    log = GENERATED.sub(lambda block: block[2] if block[1] == "epoch-log" else "", README)
    log = log[log.index("<details open>") : log.index("</details>")]
    reported = reported_record(records.read_records(ROOT / "runs"))
    assert all(format_epoch_row(row) in log.splitlines() for row in reported.history)


def test_numbers_in_the_prose_are_right():
    assert mistakes(prose(), expected_numbers()) == []


def test_the_page_of_the_benchmarks_has_numbers_of_dated_trials_only():
    text = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    before, heading, trials = text.partition("## What was tried for speed\n")
    assert heading and re.search(r"once.*\d{1,2} \w+ 20\d\d", trials.partition("\n|")[0], re.DOTALL)
    prose = "\n".join(line for line in trials.splitlines() if not line.startswith("|"))
    measured = r"\d[\d.,]* (?:images a second|[GT]?FLOP/s|[MG]B|%|times)"
    assert re.findall(measured, f"{before}\n{prose}") == []
    assert re.findall(measured, "copies 25 GB/s: 515 images a second") != []


def test_what_the_prose_says_of_the_schedules_is_so():
    found = dict(study_records.read_study(ROOT / "runs/studies/super-convergence").results)
    curves = {
        label: np.mean([[row["val_accuracy"] for row in one.history] for one in runs], axis=0)
        for label, runs in found.items()
    }
    former, steps, cycle, long = curves.values()  # in the order of the study
    assert list(curves)[2].startswith("one-cycle") and len(long) == 4 * len(cycle)
    assert former[-1] < steps[-1] < cycle[-1] < long[-1]
    assert (steps > cycle)[25:45].all() and len(steps) == 50
    last = [[one.run["final"]["accuracy"] for one in runs] for runs in found.values()]
    assert max(last[1]) < min(last[2]) and len(last[3]) == 1


def test_what_the_prose_says_of_the_fixes_is_so_with_each_seed():
    results = study_records.read_study(ROOT / "runs/studies/fixes").results
    labels = [label for label, _ in results]
    last = np.array([[one.run["final"]["accuracy"] for one in runs] for _, runs in results])
    assert last.shape == (11, 3)
    changes = np.diff(last, axis=0)
    assert all("batch-norm" in labels[1 + row] for row in changes.argmax(axis=0))
    peak = next(row for row, label in enumerate(labels) if "peak" in label)
    assert (changes[peak - 1] < 0).all()
    assert (last[-1] < last[4]).all()


def test_a_changed_digit_in_the_prose_is_noticed():
    expected = expected_numbers()
    changed = list(mutants(prose()))
    assert len(changed) > 20
    assert all(mistakes(text, expected) for text in changed)


def test_a_changed_digit_in_a_generated_block_is_noticed():
    blocks = pages.make_blocks(ROOT / "runs", REPOSITORY)
    for name in ("results", "status", "epoch-log"):
        changed = README.replace(blocks[name], re.sub(r"\d", "7", blocks[name]))
        assert changed != README
        assert pages.fill_blocks(changed, blocks) == README


def anchors(page):
    """The names that GitHub gives the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_exist(page):
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.is_relative_to(ROOT), f"{page} links outside of the repository: {target}"
        assert path.exists(), f"{page} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(path), f"{page} links to the missing section {target}"


@pytest.mark.parametrize("page", [*PAGES, pages.NOTEBOOK])
def test_nothing_links_to_an_address_that_is_not_set(page):
    if not (ROOT / page).exists():
        pytest.skip(f"{page} does not exist yet")
    text = (ROOT / page).read_text(encoding="utf-8")
    owners = set(
        re.findall(r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w.-]+)", text)
    )
    ours = {REPOSITORY} if REPOSITORY else set()
    badge = "colab-badge.svg" in text
    assert not re.search(r"\]\(\s*\)|<your[ -]|example\.(com|org)", text)
    assert badge == bool(ours and page in ("README.md", pages.NOTEBOOK))
    if page != pages.NOTEBOOK:  # the notebook may cite other projects
        assert owners == (ours if page == "README.md" else set())


def test_keeps_the_sections_of_the_submission():
    headings = re.findall(r"^#+ .+$", FENCE.sub("", README), flags=re.MULTILINE)
    order = [
        headings.index(name) for name in ("# Assignment 4A", "# Assignment 4B", "## Epoch Log")
    ]
    assert order == sorted(order)
    assert "# Assignment 4A\n\nSubmitted on Online Tool" in README
    for line in (
        r"Model: \*\*",
        r"Val Acc: \*\*\d\d\.\d\d%\*\*",
        "LR : ",
        r"GradCam Implementation: \*\*",
    ):
        assert re.search(rf"^{line}", README, flags=re.MULTILINE), line


def test_names_both_commands():
    assert "make run" in README and "make test" in README
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search("^run:", makefile, re.MULTILINE) and re.search(
        "^test:", makefile, re.MULTILINE
    )


def notebook_text(notebook):
    """All text that the notebook's cells have printed."""
    lines = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            lines.append("".join(output.get("text", output.get("data", {}).get("text/plain", ""))))
    return "\n".join(lines)


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="there is no notebook yet")
def test_epoch_lines_in_the_notebook_are_those_of_a_record():
    lines = notebook_text(json.loads(NOTEBOOK.read_text(encoding="utf-8"))).splitlines()
    if EPOCH_HEADER not in lines:
        pytest.skip("the committed notebook holds no training log")
    recorded = records.read_records(ROOT / "runs")
    printed = []
    for line in lines[lines.index(EPOCH_HEADER) + 1 :]:
        if not re.match(r" *\d+  +[\d.e+-]+  +[\d.]+  ", line):
            break
        printed.append(line)
    logs = [[format_epoch_row(row) for row in record.history] for record in recorded]
    assert printed in logs, "run the notebook again, or commit the record of its run"


@pytest.mark.skipif(not NOTEBOOK.exists(), reason="there is no notebook yet")
def test_notebook_has_the_result_table():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    markdown = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    names = {name for name, _ in GENERATED.findall(markdown)}
    assert {"results", "colab"} <= names
