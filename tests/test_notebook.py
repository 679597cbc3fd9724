"""The committed notebook: how it is written and how it was executed."""

import json
import re
from pathlib import Path

from utils.records.weights import shipped_record
from utils.records.write import summary

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "Assignment4B.ipynb"
CONTENT = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
CODE = [cell for cell in CONTENT["cells"] if cell["cell_type"] == "code"]
OUTPUTS = [output for cell in CODE for output in cell["outputs"]]


def source(cell):
    return "".join(cell["source"])


def printed():
    return "".join("".join(out["text"]) for out in OUTPUTS if out["output_type"] == "stream")


def test_was_executed_from_top_to_bottom_without_errors_and_noise():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert {output["output_type"] for output in OUTPUTS} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert {output.get("name", "stdout") for output in OUTPUTS} == {"stdout"}
    assert "\r" not in printed() and not re.search(r"(?i)\bwarning", printed())


def test_holds_no_widget_no_script_and_stays_small():
    kinds = {kind for output in OUTPUTS for kind in output.get("data", {})}
    assert kinds <= {"text/plain", "image/png", "image/jpeg"}
    assert NOTEBOOK.stat().st_size < 1.5e6


def test_the_range_test_marks_the_proposed_peak_and_that_of_the_recipe():
    (alt,) = [
        alt
        for output in OUTPUTS
        for note in output.get("metadata", {}).values()
        if "in the range test" in (alt := note.get("alt", ""))
    ]
    proposed, used = re.search(r"proposed peak (\S+), recipe's peak (\S+)$", alt).groups()
    said = f"the test proposes a peak of {proposed}; the recipe's peak, {used}, is"
    assert said in " ".join(printed().split())


def test_every_figure_is_shown_once_and_described():
    pictures = [out for out in OUTPUTS if set(out.get("data", {})) & {"image/png", "image/jpeg"}]
    assert len(pictures) >= 12
    for picture in pictures:
        assert len(set(picture["data"]) & {"image/png", "image/jpeg"}) == 1


def test_cells_are_short_and_the_story_is_longer_than_the_code():
    for cell in CODE:
        lines = source(cell).splitlines()
        assert len(lines) <= 15, source(cell)
        assert max(map(len, lines)) <= 100
    words = {"code": 0, "markdown": 0}
    for cell in CONTENT["cells"]:
        words[cell["cell_type"]] += len(source(cell).split())
    assert words["markdown"] > words["code"]


def test_text_reads_everywhere():
    text = "\n".join(source(cell) for cell in CONTENT["cells"])
    assert "import *" not in text
    assert not re.search(r"/(home|root|tmp|work|Users)/", text + printed())


def test_names_what_produced_its_result_and_that_is_a_record():
    records = [json.loads(path.read_text()) for path in (ROOT / "runs").glob("*/run.json")]
    matching = [run for run in records if not run.get("source") and summary(run) in printed()]
    assert len(matching) == 1, "commit the record of the run whose outputs the notebook shows"
    for key in ("backend", "device", "precision", "profile"):
        assert matching[0][key] in printed()


def test_heatmaps_and_test_results_are_those_of_the_shipped_weights():
    """The notebook counts the test images itself; the record of the weights agrees."""
    shipped = shipped_record(ROOT / "runs")
    assert shipped is not None
    final, text = shipped.run["final"], printed()
    if summary(shipped.run) not in text:  # it trained another network, shortly, and loaded this one
        assert f"the weights of {shipped.name} " in text
        assert f"On record: {final['accuracy']:.2%} of {shipped.run['data']['source']}" in text
    counted = text[text.index("From here on: ") :]
    right, images = re.search(r"([\d,]+) of ([\d,]+) test images right", counted).groups()
    assert int(images.replace(",", "")) == final["images"]
    assert abs(int(right.replace(",", "")) - final["correct"]) <= 15


def numbers_in(line):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line)]


def test_the_map_beats_every_baseline_by_more_than_chance_explains():
    """The table of insertion and deletion: each lead is larger than half its 95 % interval."""
    text = printed()
    assert int(re.search(r"(\d+) images; \+- is half the width", text)[1]) >= 500
    for baseline in ("random", "center", "edges"):
        line = re.search(rf"^ *{baseline}  .*\+-.*$", text, re.MULTILINE)[0]
        _, _, insertion, insertion_margin, _, _, deletion, deletion_margin = numbers_in(line)
        assert insertion > insertion_margin > 0, line
        assert deletion > deletion_margin > 0, line


def test_the_map_points_at_the_painted_object_and_random_weights_do_not():
    text = printed()
    assert int(re.search(r"(\d+) painted shapes", text)[1]) >= 1000
    rows = {
        name: numbers_in(re.search(rf"^ *{name}  .* times$", text, re.MULTILINE)[0])
        for name in ("trained weights", "random weights", "center", "edges", "by area")
    }
    _, hull, heat = rows["trained weights"]
    assert hull >= 95 and heat >= 3
    assert hull > max(rows["center"][1], rows["edges"][1])
    chance = rows["by area"]
    assert abs(rows["random weights"][1] - chance[1]) < 8
    assert abs(rows["random weights"][2] - chance[2]) < 0.25


def test_checked_cells_do_not_depend_on_profile_backend_or_data():
    # Variables of those names, not the modules utils.data, utils.model and so on.
    changing = r"(?<![\w.])(settings|recipe|data|model|network|runtime)\b[.\[(]"
    checked = [c for c in CODE if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert len(checked) >= 4
    for cell in checked:
        assert not re.search(changing, source(cell))
    assert "1,673,738" in "".join("".join(o.get("text", "")) for c in checked for o in c["outputs"])
