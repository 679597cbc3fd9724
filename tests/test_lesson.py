"""The notebook as a lesson: a question, an answer from this run and an exercise in each section."""

import ast
import builtins
import importlib
import inspect
import re

import nbformat
import numpy as np
import pytest
from lesson import ROOT, exercises, sections, source

from utils.commands.notebook_run import cell_titles
from utils.settings import RECIPES
from utils.training.range_test import range_test

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
