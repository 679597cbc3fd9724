"""The house is in order, and a planted fault is found: the rules are in `house_rules.py`."""

import json
import re
import shutil
from pathlib import Path

import pytest
from house_rules import (
    LONG,
    RULES,
    docstring_faults,
    files,
    findings,
    names_that_lead_nowhere,
    too_long,
    tree_faults,
)

ROOT = Path(__file__).resolve().parent.parent
UTILS = ROOT / "utils"


@pytest.fixture(scope="module")
def today():
    return findings(UTILS)


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule):
    assert RULES[rule](UTILS) == []


def test_every_name_of_a_module_leads_somewhere():
    assert names_that_lead_nowhere(ROOT) == []


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_contributing_has_the_tree_of_the_wings():
    assert tree_faults(CONTRIBUTING, ROOT) == []


@pytest.mark.parametrize(
    "old, new, finding",
    [
        ("batch_norm, ", "", "CONTRIBUTING does not name utils/model/batch_norm"),
        (" resnet\n", " resnet, vit\n", "CONTRIBUTING names utils/model/vit, which does not exist"),
        ("  model/ ", "  models/ ", "CONTRIBUTING names utils/models/resnet, which does not exist"),
        ("\nphotos/ ", "\npictures/ ", "CONTRIBUTING names pictures/, which is missing"),
        ("## What is where", "## Where", "CONTRIBUTING does not name utils/settings"),
    ],
)
def test_a_fault_in_the_tree_is_found(old, new, finding):
    assert CONTRIBUTING.count(old) == 1
    assert finding in tree_faults(CONTRIBUTING.replace(old, new), ROOT)


def test_docstrings_name_the_wings_that_may_be_imported():
    assert docstring_faults(UTILS) == []


def test_a_docstring_that_names_another_wing_is_found(tmp_path):
    shutil.copytree(
        UTILS, tmp_path, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )
    (tmp_path / "model/__init__.py").write_text(
        '"""Layers.\n\nMay import `data` and `training`."""'
    )
    (found,) = docstring_faults(tmp_path)
    assert "utils/model" in found and "['data', 'training']" in found


# Tests that compare the whole wing with something outside.
OF_A_WING = {"explain/test_backends", "explain/test_other_models", "explain/test_peers"}


def test_tests_lie_in_the_same_wings_as_the_modules_they_test():
    there, tests = files(UTILS), files(ROOT / "tests")
    strays = [
        name
        for name in sorted(tests - OF_A_WING)
        if "/test_" in name and name.replace("/test_", "/") not in there
    ]
    assert strays == [], "each is to be named after the module that it tests"
    assert OF_A_WING <= tests


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md"])
def test_paths_in_code_spans_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:utils|tests|runs|scripts|benchmarks|photos)/[\w./-]*)`", text)
    paths += [path for path in re.findall(r"\]\(([\w./-]+)\)", text)]
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert paths and missing == [], f"{page} names {missing}, which do not exist"


def test_no_exception_outlives_its_fault():
    found = too_long(UTILS, exceptions=())
    short = [name for name in LONG if not any(one.startswith(f"{name} has ") for one in found)]
    assert short == [], "short again: remove these from LONG"


# A module of the planted faults, what is added to it, and how the finding begins.
FAULTS = {
    "up": (
        "model/resnet.py",
        "from utils.training import fit",
        "model.resnet imports training.fit",
    ),
    "up, hidden in a function": (
        "data/shapes.py",
        "def late():\n    import utils.explain.grad_cam",
        "data.shapes imports explain.grad_cam: not below data",
    ),
    "up, relative": (
        "training/fit.py",
        "from ..commands.execute import execute",
        "training.fit imports commands.execute",
    ),
    "sideways": (
        "explain/overlay.py",
        "from utils.records.read import read_record",
        "explain.overlay imports records.read",
    ),
    "from figures": ("figures/style.py", "import utils.data.shapes", "figures.style imports data"),
    "from the ground floor": (
        "atomic.py",
        "from utils.data import shapes",
        "atomic imports data.shapes: not below the ground floor",
    ),
    "a whole wing": ("model/resnet.py", "import utils.records", "model.resnet imports records"),
    "a circle": (
        "model/batch_norm.py",
        "import utils.model.resnet",
        "circle: model.batch_norm, model.resnet",
    ),
    "a new wing": ("extra/module.py", "x = 1", "extra is not in MAY_IMPORT"),
    "a package that re-exports": (
        "data/__init__.py",
        "from utils.data.shapes import make_shapes",
        "data.__init__ holds more than its docstring",
    ),
    "a package without a docstring": ("extra/__init__.py", "", "extra.__init__ holds more"),
    "a borrowed name": (
        "records/report.py",
        "from utils.training.schedule import np",
        "records.report imports np from training.schedule, which does not define it",
    ),
    "a second s": ("data/shape.py", "x = 1", "data.shape and data.shapes differ by an s"),
    "a long module": ("model/augment.py", "x = 1\n" * 260, "model.augment has "),
    "a long function": (
        "model/augment.py",
        "def long():\n" + "    x = 1\n" * 60,
        "model.augment.long has 61 lines, more than 60",
    ),
    "a long method with a short namesake": (
        "model/augment.py",
        "class A:\n    def f(self):\n" + "        x = 1\n" * 60 + "\n\ndef f():\n    pass",
        "model.augment.f has 61 lines, more than 60",
    ),
    "a private attribute": (
        "explain/overlay.py",
        "def history(tensor):\n    return tensor._keras_history",
        "private attributes in 2 modules",
    ),
    "an undocumented attribute": (
        "explain/overlay.py",
        "def history(node):\n    return node.arguments.fill_in({})",
        "private attributes in 2 modules",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, today, tmp_path):
    copy = tmp_path / "utils"
    shutil.copytree(UTILS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    name, text, expected = FAULTS[fault]
    path = copy / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n\n{text}\n")
    new = set(findings(copy)) - set(today)
    assert any(finding.startswith(expected) for finding in new), new


@pytest.mark.parametrize(
    "name, text, dead",
    [
        ("README.md", "Run `python -m utils.commands.bake`.", "utils.commands.bake"),
        ("CONTRIBUTING.md", "See `utils.data.shapes.paint`.", "utils.data.shapes.paint"),
        ("tests/data/test_x.py", "from utils.data.shapes import np", "utils.data.shapes.np"),
        ("tests/test_x.py", "import utils.data.shape", "utils.data.shape"),
        ("Assignment4B.ipynb", "utils.model.Net", "utils.model.Net"),
    ],
)
def test_a_name_that_leads_nowhere_is_found(name, text, dead, tmp_path):
    shutil.copytree(UTILS, tmp_path / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    before = names_that_lead_nowhere(tmp_path)
    if name.endswith(".ipynb"):
        text = json.dumps({"cells": [{"cell_type": "markdown", "source": [text]}]})
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    (found,) = set(names_that_lead_nowhere(tmp_path)) - set(before)
    assert found == f"{dead}, named in {name}, is not defined there"


def test_a_test_may_patch_a_name_where_it_is_used(tmp_path):
    shutil.copytree(UTILS, tmp_path / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    before = names_that_lead_nowhere(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text('patch("utils.records.weights.resnet_v2", None)')
    assert names_that_lead_nowhere(tmp_path) == before


def test_a_docstring_is_no_code(tmp_path):
    lines = "    x = 1\n" * 59
    (tmp_path / "module.py").write_text(f'def f():\n    """One.\n\n    Two.\n    """\n{lines}')
    assert too_long(tmp_path) == []
