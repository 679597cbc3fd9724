"""The notebook as a lesson: a question, an answer from this run and an exercise in each section."""

import ast
import builtins
import collections
import importlib
import inspect
import re
import symtable

import nbformat
import numpy as np
import pytest
from lesson import ROOT, exercises, sections, source

from utils.commands.notebook_run import cell_titles
from utils.explain.randomization import cascading_randomization
from utils.records.studies import read_study
from utils.settings import RECIPES, Recipe, load_settings
from utils.training.range_test import range_test
from utils.training.recipe_schedule import decay_e_foldings

TAUGHT = range(1, 14)  # section 14 looks back
# Sections without a figure: what they print is the answer itself.
PRINTED = {1: "print(runtime)", 2: 'print(f"Profile ', 13: "Read back"}
SECTIONS, EXERCISES = sections(), exercises()
QUOTE = re.compile(r"\*In code\* \(([^)]+)\): `([^`]+(?:``[^`]+)*)`")


def test_each_section_begins_its_own_cell_and_asks_a_question():
    assert list(SECTIONS) == list(range(1, 15))
    for number in (*TAUGHT, 14):
        _, question, *_ = source(SECTIONS[number][0]).split("\n\n")
        assert re.fullmatch(r"\*\*[A-Z][^*]*\?\*\*", question), f"section {number}: {question}"


@pytest.mark.parametrize("number", TAUGHT)
def test_each_section_answers_from_the_objects_of_the_run(number):
    code = [source(cell) for cell in SECTIONS[number] if cell["cell_type"] == "code"]
    said = [
        line
        for text in code
        for line in text.splitlines()
        if re.match(r"print\(\w+_answer\(", line)
    ]
    if number in PRINTED:
        assert any(PRINTED[number] in text for text in code)
    else:
        assert len(said) == 1, "one sentence a section"


def test_a_sentence_stands_right_under_its_figure():
    """All that a cell prints becomes one output, so a line before the figure would pull it up."""
    with_both = 0
    for cells in SECTIONS.values():
        for cell in cells:
            shown, *below = re.findall(r"^(?:display|print)\(", source(cell), re.MULTILINE) or [""]
            if cell["cell_type"] == "code" and "display(" in source(cell):
                assert shown == "display(" and below == ["print("], source(cell)
                with_both += 1
    assert with_both >= 8


@pytest.mark.parametrize("number", TAUGHT)
def test_each_section_ends_in_an_exercise(number):
    assert number in EXERCISES
    last = source(SECTIONS[number][-1])
    assert "**Exercise.** " in last
    assert all(word in last for word in ("redict", "then print"))


def bound_names(code):
    """Names that a piece of code defines, and those that it uses."""
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return bound, {node.id for node in names if isinstance(node.ctx, ast.Load)}


@pytest.mark.parametrize("number", TAUGHT)
def test_an_exercise_needs_nothing_but_the_cells_above(number):
    above = set(dir(builtins))
    for section in range(1, number + 1):
        for cell in SECTIONS[section]:
            if cell["cell_type"] == "code":
                above |= bound_names(source(cell))[0]
    bound, used = bound_names(EXERCISES[number][1])
    assert used - bound - above == set()


def quotes():
    for number, cells in SECTIONS.items():
        for cell, following in zip(cells, [*cells[1:], None]):
            if cell["cell_type"] == "markdown":
                for place, line in QUOTE.findall(source(cell)):
                    yield number, place, line, following


def quoted_source(place, following):
    if place == "the next cell":
        return source(following)
    module, _, name = place.strip("`").rpartition(".")
    return inspect.getsource(getattr(importlib.import_module(module), name))


def test_every_equation_is_tied_to_the_line_that_computes_it():
    found = list(quotes())
    assert len(found) >= 12
    for number, place, line, following in found:
        lines = [one.strip() for one in quoted_source(place, following).splitlines()]
        assert line in lines, f"section {number} quotes {line!r}, which is not in {place}"


def test_every_equation_has_its_line_of_code():
    """Equations stand in quotations; each quotation names its line."""
    for cells in SECTIONS.values():
        for cell in cells:
            for block in re.findall(
                r"(?m)(?:^>.*\n?)+", source(cell) if cell["cell_type"] == "markdown" else ""
            ):
                assert QUOTE.search(block), block


def code_cells(number):
    return [cell for cell in SECTIONS[number] if cell["cell_type"] == "code"]


def assigned_names(code):
    """Names that a piece of code leaves behind, but for those that it imports."""
    symbols = symtable.symtable(code, "cell", "exec").get_symbols()
    return {one.get_name() for one in symbols if one.is_assigned() and not one.is_imported()}


def test_an_exercise_leaves_the_names_of_the_notebook_alone():
    """So that what stands below it still works, also after Run all."""
    code = [source(cell) for number in SECTIONS for cell in code_cells(number)]
    kept = set().union(*map(assigned_names, code))
    for number, (_, exercise) in EXERCISES.items():
        assert assigned_names(exercise) & kept == set(), f"section {number}"


def test_a_name_means_one_thing_where_exercises_and_tasks_go_on_with_it():
    code = [source(cell) for number in range(9, 14) for cell in code_cells(number)]
    counts = collections.Counter(name for one in code for name in assigned_names(one))
    assert [name for name, cells in counts.items() if cells > 1] == []


def test_the_folder_of_the_results_is_chosen_after_the_advice_to_move_it():
    cells = [cell for section in SECTIONS.values() for cell in section]
    advice = [place for place, cell in enumerate(cells) if "drive.mount" in source(cell)]
    uses = [
        place
        for place, cell in enumerate(cells)
        if cell["cell_type"] == "code" and "output_dir()" in source(cell)
    ]
    assert len(advice) == 1 and uses and advice[0] < min(uses)


def test_what_the_text_says_of_profiles_and_experiments_is_what_they_do():
    quick = load_settings("quick", environ={})
    table = source(SECTIONS[2][0])
    assert f"trains ResNet{quick.recipe.depth}v2 for {quick.recipe.epochs} epochs" in table
    assert f"on {quick.train_images:,} images" in table
    defaults = inspect.signature(cascading_randomization).parameters
    assert (defaults["stages"].default, defaults["draws"].default) == (8, 5)
    said = " ".join(" ".join(map(source, SECTIONS[11])).split())
    assert "in eight steps" in said and "five times over" in said
    assert "at most 100 images" in said and "images[:100], targets[:100]" in said
    strongest, *weaker = [
        decay_e_foldings(Recipe(**one.run["recipe"]), one.run["data"]["train_images"])
        for _, (one,) in read_study(ROOT / "runs/studies/decay").results
    ]
    assert strongest > max(weaker) and len(weaker) == 2
    assert min(weaker) < decay_e_foldings(RECIPES["one-cycle"], 50_000) < max(weaker)
    assert "lies between those two" in " ".join(" ".join(map(source, SECTIONS[7])).split())


def test_the_progress_display_names_what_each_cell_does():
    notebook = nbformat.read(ROOT / "Assignment4B.ipynb", as_version=4)
    titles = list(cell_titles(notebook).values())
    assert len(set(titles)) == len(titles)
    taught = titles[titles.index("3. The data") :]
    assert [title for title in taught if re.search(r"\(\d+\)$", title)] == [], "begin by a comment"


def test_the_numbers_about_the_loss_are_those_of_the_recipe():
    text = source(next(cell for cell in SECTIONS[5] if "*smoothed labels*" in source(cell)))
    share = RECIPES["one-cycle"].label_smoothing
    truth = np.full(10, share / 10) + np.eye(10)[0] * (1 - share)
    assert share == 0.1 and "a tenth of the truth" in text
    assert f"below {-(truth * np.log(truth)).sum():.2f}" in " ".join(text.split())
    sweep = " ".join(source(SECTIONS[6][0]).split())
    assert rf"$\beta = {inspect.signature(range_test).parameters['beta'].default}$" in sweep
