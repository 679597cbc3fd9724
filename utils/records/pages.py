"""Renews the generated parts of README.md and of the notebook.

They stand between `<!-- generated:NAME -->` and `<!-- /generated:NAME -->`. The repository's public
address, from which badge and links follow, is a constant in the notebook, which needs it before it
has any module: `REPOSITORY = "owner/name"`, or `""` while it is not known and nothing links to it.
"""

import json
import re
from pathlib import Path

from utils.records import faults, mutants, texts
from utils.records.benchmarks import BENCHMARKS, performance_block
from utils.records.read import FAULTS, ROOT, STUDIES, read_records
from utils.records.studies import STUDY_FILE, read_study
from utils.records.study_tables import study_table

NOTEBOOK = "Assignment4B.ipynb"
ADDRESS = re.compile(r'^(REPOSITORY = )"([^"\n]*)"', flags=re.MULTILINE)


def make_blocks(runs, repository):
    """All generated blocks, by name.

    Args:
        runs: path of `runs/`.
        repository: `"owner/name"` or `""`.

    Returns:
        Dict of name to Markdown.

    Raises:
        ValueError: when a record or a study is unsound.
    """
    records = read_records(runs)
    return {
        "headline": texts.headline(records),
        "results": texts.results(records),
        "heatmaps": texts.heatmaps(records),
        "status": texts.status(records),
        "epoch-log": texts.epoch_log(records),
        "faults": faults.faults_block(Path(runs) / FAULTS / faults.RECORD_FILE),
        "mutants": mutants.mutants_block(Path(runs) / FAULTS / mutants.RECORD_FILE),
        "performance": performance_block(Path(runs) / BENCHMARKS),
        "studies": studies(Path(runs) / STUDIES),
        "colab": texts.colab(repository, NOTEBOOK),
    }


def studies(folder):
    """Table and figures of every study in a folder of `runs/`, or what makes one.

    Args:
        folder: path of `runs/studies`.

    Returns:
        Markdown.

    Raises:
        ValueError: as `utils.records.studies.read_study`.
    """
    parts = []
    for path in sorted(Path(folder).glob(f"*/{STUDY_FILE}")):
        study = read_study(path.parent)
        if study.results:
            address = f"runs/{STUDIES}/{path.parent.name}"
            figures = [f"{address}/{one.name}" for one in sorted(path.parent.glob("*.png"))]
            parts.append({"title": study.title, "table": study_table(study), "figures": figures})
    return texts.text("studies", parts)


def fill_blocks(text, blocks, place="the text"):
    """Replaces what stands between the markers of each generated block.

    Args:
        text: Markdown.
        blocks: dict of name to content.
        place: what to call the text in an error.

    Returns:
        The renewed text.

    Raises:
        ValueError: on a marker without partner or a block that is not known.
    """
    marker = re.compile(r"<!-- (/?)generated:([\w-]+) -->")
    open_name = None
    for slash, name in marker.findall(text):
        if name not in blocks or (open_name != name if slash else open_name is not None):
            raise ValueError(
                f"{place}: the marker <!-- {slash}generated:{name} --> is unknown or has no "
                f"partner; blocks are {', '.join(blocks)}, each opened and closed once."
            )
        open_name = None if slash else name
    if open_name is not None:
        raise ValueError(f"{place}: the block {open_name} is not closed; add its end marker.")
    return re.sub(
        r"(<!-- generated:([\w-]+) -->\n).*?(<!-- /generated:\2 -->)",
        lambda match: match[1] + blocks[match[2]] + "\n" + match[3],
        text,
        flags=re.DOTALL,
    )


def present_repository(root=ROOT):
    """The public address that the notebook of a checkout names: "owner/name" or ""."""
    cells = json.loads((Path(root) / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    found = (ADDRESS.search("".join(cell["source"])) for cell in cells)
    return next(match[2] for match in found if match)


def check_repository(repository):
    """Returns `repository` if it is "owner/name" or empty, else raises ValueError."""
    if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+)?", repository):
        raise ValueError(
            f"The repository must be given as owner/name, as in "
            f"https://github.com/owner/name, got {repository!r}."
        )
    return repository


def renew_notebook(text, blocks, repository):
    """Renews blocks in the Markdown cells and the constant in the code cells of a notebook.

    Args:
        text: str, the notebook file.
        blocks: dict of name to content.
        repository: str.

    Returns:
        The new file; the very same text when no cell changes.
    """
    notebook = json.loads(text)
    changed = False
    for cell in notebook["cells"]:
        old = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            new = fill_blocks(old, blocks, NOTEBOOK)
        else:
            new = ADDRESS.sub(rf'\g<1>"{repository}"', old, count=1)
        if new != old:
            changed = True
            cell["source"] = new.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n" if changed else text


def renewed_files(root=ROOT, repository=None):
    """Computes what the generated files should hold; writes nothing.

    Args:
        root: path of the repository.
        repository: new public address, or None to keep the present one.

    Returns:
        Dict of path to (present text, right text), for every file that is generated in part.

    Raises:
        ValueError: on an unsound record, a broken marker or a malformed address.
    """
    readme, notebook = Path(root) / "README.md", Path(root) / NOTEBOOK
    if repository is None:
        repository = present_repository(root)
    blocks = make_blocks(Path(root) / "runs", check_repository(repository))
    old = {path: path.read_text(encoding="utf-8") for path in (readme, notebook)}
    return {
        readme: (old[readme], fill_blocks(old[readme], blocks, readme.name)),
        notebook: (old[notebook], renew_notebook(old[notebook], blocks, repository)),
    }
