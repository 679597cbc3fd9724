"""The rules of the house (CONTRIBUTING.md), read from the source code; nothing is imported.

Each rule is a function that takes the folder of `utils/`, or the one around it, and returns its
findings, one sentence each. `test_house.py` applies them, and plants faults to see them found.
"""

import ast
import functools
import graphlib
import json
import re

# What each wing may import beside its own modules and the ground floor, the modules that lie in
# utils/ itself. The ground floor imports no wing.
MAY_IMPORT = {"data": set(), "figures": set()}
MAY_IMPORT["model"] = {"data", "figures"}
MAY_IMPORT["training"] = MAY_IMPORT["model"] | {"model"}
MAY_IMPORT["explain"] = MAY_IMPORT["records"] = MAY_IMPORT["training"] | {"training"}
MAY_IMPORT["html"] = MAY_IMPORT["explain"] | {"explain", "records"}
MAY_IMPORT["commands"] = MAY_IMPORT["html"] | {"html"}

MODULE_LINES, FUNCTION_LINES = 260, 60
# A module or function that is longer for a reason stands here with it, as in
# "explain.example": "one formula, which reads better in one piece".
LONG = {}

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
    lengths = []
    for name, path in modules(folder).items():
        lengths.append((name, len(path.read_text(encoding="utf-8").splitlines()), MODULE_LINES))
        lengths += [
            (f"{name}.{node.name}", code_lines(node), FUNCTION_LINES)
            for node in ast.walk(parse(path))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
    return [
        f"{name} has {lines} lines, more than {limit}"
        for name, lines, limit in lengths
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


def texts(root):
    """Maps each file around `utils/` that may name its modules to its text.

    The prose of a notebook becomes comments, so that the whole is Python.
    """
    names = ("*.md", "*/*.md", "runs/*/*.md", "Makefile", "*/*.sh", "*.py")
    names += ("benchmarks/*.py", "tests/**/*.py", "utils/**/*.py", "utils/**/*.jinja")
    found = {path: path.read_text(encoding="utf-8") for name in names for path in root.glob(name)}
    for path in root.glob("*.ipynb"):
        cells = [
            "".join(
                ("# " if cell["cell_type"] == "markdown" else "") + line for line in cell["source"]
            )
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        ]
        found[path] = "\n\n".join(cells)
    found.pop(root / "tests/test_house.py", None)  # its planted faults name what does not exist
    return found


def names_that_lead_nowhere(root):
    """Dotted names such as `utils.data.shapes.make_shapes` in prose or code, and imported names."""
    known = modules(root / "utils")
    defined = {module: defined_names(path) for module, path in known.items()}
    usable = {  # what a test may patch: a module's own names and those that it imports
        module: defined[module] | {name for _, name in imports_of(parse(path), known) if name}
        for module, path in known.items()
    }

    def exists(parts, names):
        for cut in range(len(parts), 0, -1):
            module, rest = ".".join(parts[:cut]), parts[cut:]
            if module in known:
                return not rest or rest[0] in names[module]
            if f"{module}.__init__" in known:
                return not rest
        return False

    found = []
    for path, text in texts(root).items():
        in_test = path.is_relative_to(root / "tests")
        dotted = set(re.findall(r"(?<![\w.])utils\.((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)", text))
        lost = {one for one in dotted if not exists(one.split("."), usable if in_test else defined)}
        if path.suffix in (".py", ".ipynb"):
            imported = imports_of(parse_text(text), known)
            whole = {f"{module}.{name}" for module, name in imported if name}
            lost |= {one for one in whole if not exists(one.split("."), defined)}
        found += [
            f"utils.{name}, named in {path.relative_to(root)}, is not defined there"
            for name in sorted(lost)
        ]
    return found


def files(folder):
    """Names of all files as in CONTRIBUTING's tree: of a module without .py, else the whole."""
    return {
        path.relative_to(folder).as_posix().removesuffix(".py")
        for path in folder.rglob("[!_.]*.*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def tree_faults(page, root):
    """What is wrong in the tree of CONTRIBUTING's section *What is where*."""
    section = page.partition("\n## What is where\n")[2].partition("\n## ")[0]
    lines = section.partition("```text\n")[2].partition("```")[0].splitlines()
    named, folder = set(), ""
    for line in lines:
        if wing_line := re.match(r"  (\w+)/ ", line):
            folder = f"{wing_line[1]}/"
        elif re.fullmatch(r" +[\w.]+(, *[\w.]+)*,?", line):  # the names of its files
            named |= {folder + name for name in re.findall(r"[\w.]+", line)}
    top = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    there = files(root / "utils")
    found = [f"CONTRIBUTING names utils/{name}, which does not exist" for name in named - there]
    found += [f"CONTRIBUTING does not name utils/{name}" for name in there - named]
    found += [
        f"CONTRIBUTING names {name}, which is missing" for name in top if not (root / name).exists()
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
