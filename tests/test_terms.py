"""One name for one thing: the terms of CONTRIBUTING.md, and American spelling."""

import ast
import re

from lesson import CELLS, ROOT, source

PAGES = ("README.md", "Assignment4A.md", "CONTRIBUTING.md", "utils/records/texts.md.jinja")
BRITISH = (
    r"colour\w*|grey\w*|centre\w*|behaviour\w*|neighbour\w*|favour\w*|labelled|labelling|modell\w+"
    r"|\w*(?:normal|optim|regular|random|recogn|summar|visual|initial)is(?:e|es|ed|ing|ation)\w*"
    r"|analyse\w*|catalogue|licence"
)
# Where another name is right: what Keras or a paper calls its own thing.
RIGHT = {("utils/training/trial_model.py", "weight decay")}  # of Keras's optimizers, not ours


def glossary():
    """Maps each name that is not to be used to the term that is."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Terms\n")[2]
    rows = re.findall(r"^\| (.+?) \| .+? \| (.+?) \|$", section, flags=re.MULTILINE)[2:]
    return {name: term for term, names in rows for name in names.split(", ")}


def prose(text):
    """A text without code, marks, addresses and quoted titles of papers."""
    return re.sub(
        r"```.*?```|`[^`]*`|<!--.*?-->|\]\([^)]*\)|\"[^\"]*\"", " ", text, flags=re.DOTALL
    )


def texts():
    """Maps every page, the notebook (but its list of papers) and each module to its prose."""
    found = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    before, _, after = found["CONTRIBUTING.md"].partition("\n## Terms\n")
    found["CONTRIBUTING.md"] = before + after.partition("\n## ")[2]
    found["Assignment4B.ipynb"] = "\n\n".join(
        source(cell)
        for cell in CELLS
        if cell["cell_type"] == "markdown" and cell["id"] != "references"
    )
    for path in sorted((ROOT / "utils").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = [ast.get_docstring(node) for node in nodes if isinstance(node, documented)]
        found[path.relative_to(ROOT).as_posix()] = "\n\n".join(filter(None, docstrings))
    return {name: prose(text) for name, text in found.items()}


def strays(text, names):
    """The names that occur in a text, as they stand there but in lower case, also in the plural."""
    pattern = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in names)
    found = re.findall(rf"(?<![\w-])(?:{pattern})(?:e?s)?(?![\w-])", text, flags=re.IGNORECASE)
    return [" ".join(one.lower().split()) for one in found]


def british(text):
    return re.findall(rf"\b(?:{BRITISH})\b", text, flags=re.IGNORECASE)


def test_each_thing_has_its_one_name():
    terms = glossary()
    found = [(name, one) for name, text in texts().items() for one in strays(text, terms)]
    assert [one for one in found if one not in RIGHT] == [], "see the terms of CONTRIBUTING.md"


def test_the_spelling_is_american():
    found = {name: british(text) for name, text in texts().items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_glossary_is_read_and_a_stray_name_is_found():
    terms = glossary()
    assert len(terms) > 25 and terms["iteration"] == "step" and terms["heat map"] == "heatmap"
    text = "Each Iteration of two mini-batches; one\ncycle."
    assert strays(text, terms) == ["iteration", "mini-batches", "one cycle"]
    assert strays("iterations_done, a one-cycle policy, batch-norm statistics", terms) == []
    words = ["Colours", "normalised", "centre"]
    assert british(" of a ".join(words) + ", colors of a normalized center, otherwise") == words


def test_no_exception_outlives_its_reason():
    there = texts()
    assert all(one in " ".join(there[name].lower().split()) for name, one in RIGHT)
