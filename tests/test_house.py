"""The rules of the house (CONTRIBUTING.md), read from the source code; nothing is imported.

Each rule is a function that takes the folder of `utils/` and returns its findings, one sentence
each, so that the last tests can plant a fault in a copy and expect the finding.
"""

import ast
import functools
import graphlib
import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UTILS = ROOT / "utils"

# What each wing may import beside its own modules and the ground floor, the modules that lie in
# utils/ itself. The ground floor imports no wing.
MAY_IMPORT = {"data": set(), "figures": set()}
MAY_IMPORT["model"] = {"data", "figures"}
MAY_IMPORT["training"] = MAY_IMPORT["model"] | {"model"}
MAY_IMPORT["explain"] = MAY_IMPORT["records"] = MAY_IMPORT["training"] | {"training"}
MAY_IMPORT["commands"] = MAY_IMPORT["training"] | {"training", "explain", "records"}

MODULE_LINES, FUNCTION_LINES = 260, 60
# A module or function that is longer for a reason stands here with it, as in
# "explain.example": "one formula, which reads better in one piece".
LONG = {}

# TODAY'S FAULTS, to be emptied: how their findings begin.
UNFINISHED = [
    "training.run_folder imports records.read",
    "training.fit imports channel_statistics from data.sources",
    "training.fit imports pixel_mean from data.sources",
    "utils.data.sources.",  # Dataset, its classes and statistics: import them from data.dataset
    "circle: explain.grad_cam, explain.score_cam",
    "commands.execute has ",
    "explain.faithfulness has ",
    "explain.grad_cam has ",
    "explain.grad_cam._compile has ",
    "records.read has ",
    "records.report has ",
    "records.write.make_record has ",
    "training.fit has ",
    "training.schedule has ",
]

# Private or undocumented names of other people's objects may be used in one module only.
UNDOCUMENTED = {"fill_in"}  # keras: node.arguments.fill_in
NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}  # private in spelling only


def modules(folder):
    """Maps the name of each module below utils, as "wing.module", to its path."""
    paths = sorted(folder.rglob("*.py"))
    return {".".join(path.relative_to(folder).with_suffix("").parts): path for path in paths}


def parse(path):
    return parse_text(path.read_text(encoding="utf-8"))


@functools.cache  # by content: every rule reads every module, and most copies are unchanged
def parse_text(text):
    return ast.parse(text)


def imports_of(tree, known, package=""):
    """Lists (module of utils, name imported from it or None), wherever the imports stand."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:  # relative: counted from the importing module's package
                whole = ["utils", *package.split(".")] if package else ["utils"]
                base = whole[: len(whole) - node.level + 1] + base
            pairs = [(".".join(base), alias.name) for alias in node.names]
        else:
            continue
        for target, name in pairs:
            if target.split(".")[0] == "utils":
                inner = target.removeprefix("utils").removeprefix(".")
                whole = f"{inner}.{name}".removeprefix(".")
                is_module = whole in known or f"{whole}.__init__" in known
                found.append((whole, None) if is_module else (inner or "__init__", name))
    return found


def imports(folder):
    """Lists (importing module, imported module, imported name or None) within utils."""
    known = modules(folder)
    return [
        (importer, *found)
        for importer, path in known.items()
        for found in imports_of(parse(path), known, wing(importer))
    ]


def wing(module):
    """The wing of a module, or "" for the ground floor."""
    return module.split(".")[0] if "." in module else ""


def upward_imports(folder):
    known, found = modules(folder), []
    wings = {wing(name) for name in known} - {""}
    found += [f"{name} is not in MAY_IMPORT, the list of wings" for name in wings - {*MAY_IMPORT}]
    for name, target, _ in imports(folder):
        here = wing(name)
        there = target if target in wings else wing(target)
        if there and there != here and there not in MAY_IMPORT.get(here, ()):
            found.append(f"{name} imports {target}: not below {here or 'the ground floor'}")
    return sorted(set(found))


def circles(folder):
    graph = {name: set() for name in modules(folder)}
    for name, target, _ in imports(folder):
        if target in graph and target != name:
            graph[name].add(target)
    found = []
    while True:
        try:
            graphlib.TopologicalSorter(graph).prepare()
            return found
        except graphlib.CycleError as error:
            circle = error.args[1]  # its first module stands at both ends
            found.append("circle: " + ", ".join(sorted(set(circle))))
            for a, b in zip(circle, circle[1:], strict=False):
                graph[b].discard(a)


def packages_with_code(folder):
    return [
        f"{name} holds more than its docstring"
        for name, path in modules(folder).items()
        if name.endswith(".__init__")
        and not (len(parse(path).body) == 1 and ast.get_docstring(parse(path)))
    ]


def defined_names(path):
    """Names that a module defines at its top level: not those that it imports."""
    names = set()
    for node in parse(path).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.If, ast.Try, ast.With)):
            names |= {
                one.id
                for one in ast.walk(node)
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
            }
    return names


def borrowed_names(folder):
    known = modules(folder)
    names = {module: defined_names(path) for module, path in known.items()}
    return [
        f"{name} imports {imported} from {target}, which does not define it"
        for name, target, imported in imports(folder)
        if imported and imported not in names.get(target, ())
    ]


def confusable_names(folder):
    known = {name.removesuffix(".__init__") for name in modules(folder)}
    return [f"{name} and {name}s differ by an s" for name in sorted(known) if f"{name}s" in known]


def code_lines(node):
    """Lines of a function without its docstring: what has to be followed, not what explains it."""
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines


def too_long(folder, exceptions=LONG):
    lengths = {}
    for name, path in modules(folder).items():
        lengths[name] = len(path.read_text(encoding="utf-8").splitlines()), MODULE_LINES
        for node in ast.walk(parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lengths[f"{name}.{node.name}"] = code_lines(node), FUNCTION_LINES
    return [
        f"{name} has {lines} lines, more than {limit}"
        for name, (lines, limit) in lengths.items()
        if lines > limit and name not in exceptions
    ]


def private_attributes(folder):
    users = {}
    for name, path in modules(folder).items():
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Attribute):
                continue
            private = re.match(r"_(?!_)", node.attr) and node.attr not in NAMED_TUPLE
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if (private and not own) or node.attr in UNDOCUMENTED:
                users.setdefault(name, set()).add(node.attr)
    if len(users) < 2:
        return []
    return [
        f"private attributes in {len(users)} modules: {sorted(users)}: {sorted(users.values())}"
    ]


RULES = {
    rule.__name__: rule
    for rule in (
        upward_imports,
        circles,
        packages_with_code,
        borrowed_names,
        confusable_names,
        too_long,
        private_attributes,
    )
}


def findings(folder):
    return [finding for rule in RULES.values() for finding in rule(folder)]


def texts(root):
    """Maps each file around `utils/` that may name its modules to its text.

    The prose of a notebook becomes comments, so that the whole is Python.
    """
    names = ("*.md", "Makefile", "*.py", "*/*.sh", "benchmarks/*.py", "tests/**/*.py")
    found = {path: path.read_text(encoding="utf-8") for name in names for path in root.glob(name)}
    found |= {path: path.read_text(encoding="utf-8") for path in modules(root / "utils").values()}
    for path in root.glob("*.ipynb"):
        cells = [
            "".join(
                ("# " if cell["cell_type"] == "markdown" else "") + line for line in cell["source"]
            )
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        ]
        found[path] = "\n\n".join(cells)
    found.pop(root / "tests" / Path(__file__).name, None)  # names what does not exist
    return found


def names_that_lead_nowhere(root):
    """Dotted names such as `utils.data.shapes.make_shapes` in prose or code, and imported names."""
    known = modules(root / "utils")
    defined = {module: defined_names(path) for module, path in known.items()}

    def exists(parts):
        for cut in range(len(parts), 0, -1):
            module, rest = ".".join(parts[:cut]), parts[cut:]
            if module in known:
                return not rest or rest[0] in defined[module]
            if f"{module}.__init__" in known:
                return not rest
        return False

    found = []
    for path, text in texts(root).items():
        names = set(re.findall(r"(?<![\w.])utils\.((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)", text))
        if path.suffix in (".py", ".ipynb"):
            imported = imports_of(parse_text(text), known)
            names |= {f"{module}.{name}" for module, name in imported if name}
        found += [
            f"utils.{name}, named in {path.relative_to(root)}, is not defined there"
            for name in sorted(names)
            if not exists(name.split("."))
        ]
    return found


def files(folder):
    """Names of all files as in README's tree: of a module without .py, else the whole name."""
    return {
        path.relative_to(folder).as_posix().removesuffix(".py")
        for path in folder.rglob("[!_.]*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def tree_faults(readme, root):
    """What is wrong in the tree of README's section *What is where*."""
    section = readme.partition("\n## What is where\n")[2].partition("\n## ")[0]
    lines = section.partition("```text\n")[2].partition("```")[0].splitlines()
    named, folder = set(), ""
    for line in lines:
        if wing_line := re.match(r"  (\w+)/ ", line):
            folder = f"{wing_line[1]}/"
        elif re.fullmatch(r" +[\w.]+(, *[\w.]+)*,?", line):  # the names of its files
            named |= {folder + name for name in re.findall(r"[\w.]+", line)}
    top = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    there = files(root / "utils")
    found = [f"README names utils/{name}, which does not exist" for name in named - there]
    found += [f"README does not name utils/{name}" for name in there - named]
    found += [
        f"README names {name}, which is missing" for name in top if not (root / name).exists()
    ]
    return sorted(found)


def docstring_faults(folder):
    """Wings whose docstring names other wings than they may import."""
    return [
        f"utils/{name}/__init__.py names {sorted(named)}, but may import {sorted(allowed)}"
        for name, allowed in MAY_IMPORT.items()
        for text in [ast.get_docstring(parse(folder / name / "__init__.py"))]
        if (named := set(re.findall(r"`(\w+)`", text))) != allowed
    ]


def is_excused(finding):
    return finding.startswith(tuple(UNFINISHED))


@pytest.mark.parametrize("rule", RULES)
def test_rule_holds(rule):
    assert [finding for finding in RULES[rule](UTILS) if not is_excused(finding)] == []


def test_every_name_of_a_module_leads_somewhere():
    assert [one for one in names_that_lead_nowhere(ROOT) if not is_excused(one)] == []


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_has_the_tree_of_the_wings():
    assert tree_faults(README, ROOT) == []


@pytest.mark.parametrize(
    "old, new, finding",
    [
        ("batch_norm, ", "", "README does not name utils/model/batch_norm"),
        (" resnet\n", " resnet, vit\n", "README names utils/model/vit, which does not exist"),
        ("  model/ ", "  models/ ", "README names utils/models/resnet, which does not exist"),
        ("\nphotos/ ", "\npictures/ ", "README names pictures/, which is missing"),
        ("## What is where", "## Where", "README does not name utils/settings"),
    ],
)
def test_a_fault_in_the_tree_is_found(old, new, finding):
    assert README.count(old) == 1
    assert finding in tree_faults(README.replace(old, new), ROOT)


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
OF_A_WING = {"explain/test_backends", "explain/test_peers"}


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
    found = findings(UTILS) + names_that_lead_nowhere(ROOT)
    mended = [fault for fault in UNFINISHED if not any(one.startswith(fault) for one in found)]
    assert mended == [], "mended: remove these from UNFINISHED"
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
def test_a_planted_fault_is_found(fault, tmp_path):
    copy = tmp_path / "utils"
    shutil.copytree(UTILS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    name, text, expected = FAULTS[fault]
    path = copy / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n\n{text}\n")
    new = set(findings(copy)) - set(findings(UTILS))
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


def test_a_docstring_is_no_code(tmp_path):
    lines = "    x = 1\n" * 59
    (tmp_path / "module.py").write_text(f'def f():\n    """One.\n\n    Two.\n    """\n{lines}')
    assert too_long(tmp_path) == []
