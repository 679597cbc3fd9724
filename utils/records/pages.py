"""Renews the generated parts of README.md, of runs/README.md and of the notebook.

README.md says what most readers look for, runs/README.md has all of it. The parts stand between
`<!-- generated:NAME -->` and `<!-- /generated:NAME -->`. The repository's public address, from
which badge and links follow, is a constant in the notebook, which needs it before it has any
module: `REPOSITORY = "owner/name"`, or `""` while it is not known and nothing links to it.
"""

import json
import re
from pathlib import Path

from utils.records import mutants, texts
from utils.records.benchmarks import (
    BENCHMARKS,
    GROWTH_FIGURE,
    performance_block,
    performance_summary,
)
from utils.records.faults import RECORD_FILE, faults_block, faults_summary
from utils.records.read import FAULTS, ROOT, STUDIES, read_records
from utils.records.studies import SUPER_CONVERGENCE, read_studies
from utils.records.study_tables import study_line, study_table

NOTEBOOK = "Assignment4B.ipynb"
PAGES = ("README.md", "runs/README.md")
FIXES = "fixes"  # a study that README shows whole, as SUPER_CONVERGENCE
ADDRESS = re.compile(r'^(REPOSITORY = )"([^"\n]*)"', flags=re.MULTILINE)


def make_blocks(runs, repository):
    """All generated blocks, by name.

    Args:
        runs: path of `runs/`.
        repository: `"owner/name"` or `""`.

    Returns:
        Dict of name to Markdown.

    Raises:
        ValueError: when a record or a study is unsound, or there is no record.
    """
    runs = Path(runs)
    records, found = read_records(runs), read_studies(runs / STUDIES)
    studies = [study for _, study in found]
    if not records:
        raise ValueError(f"{runs} holds no record of a run; restore it from version control.")
    growth = texts.picture(runs / BENCHMARKS / GROWTH_FIGURE, "Growth of an epoch of training")
    whole = {name: "" for name in (FIXES, SUPER_CONVERGENCE)}
    whole |= {path.name: study_table(study) for path, study in found if path.name in whole}
    others = [study_line(study) for path, study in found if path.name not in whole]
    return {
        "badges": texts.badges(repository, NOTEBOOK),
        "headline": texts.headline(records, runs, studies),
        "results": texts.results(records, studies),
        "heatmaps": texts.heatmaps(records),
        "status": texts.status(records),
        "epoch-log": texts.epoch_log(records),
        "faults": faults_summary(runs / FAULTS / RECORD_FILE),
        "performance": performance_summary(runs / BENCHMARKS),
        "super-convergence": texts.text("super_convergence", whole[SUPER_CONVERGENCE]),
        "studies": texts.text("studies", whole[FIXES], others),
        "colab": texts.colab(repository, NOTEBOOK),
        "all-runs": texts.all_runs(records),
        "all-performance": performance_block(runs / BENCHMARKS, growth),
        "all-studies": texts.text("all_studies", [_study_part(*one) for one in found]),
        "all-faults": faults_block(runs / FAULTS / RECORD_FILE),
        "mutants": mutants.mutants_block(runs / FAULTS / mutants.RECORD_FILE),
    }


def _study_part(folder, study):
    """Title, table and figures of a study; the addresses count from `runs/`."""
    figures = [
        {
            "alt": texts.picture(path, study.title),
            "address": f"{STUDIES}/{folder.name}/{path.name}",
        }
        for path in sorted(folder.glob("*.png"))
    ]
    return {"title": study.title, "table": study_table(study), "figures": figures}


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
    root = Path(root)
    if repository is None:
        repository = present_repository(root)
    blocks = make_blocks(root / "runs", check_repository(repository))
    texts_of = {root / name: (root / name).read_text(encoding="utf-8") for name in PAGES}
    files = {
        path: (old, fill_blocks(old, blocks, path.relative_to(root).as_posix()))
        for path, old in texts_of.items()
    }
    old = (root / NOTEBOOK).read_text(encoding="utf-8")
    return files | {root / NOTEBOOK: (old, renew_notebook(old, blocks, repository))}
