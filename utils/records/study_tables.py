"""Tables of studies, as Markdown."""

from statistics import fmean

from utils.records.compare import difference
from utils.records.texts import mean_text, text
from utils.settings import RECIPES

SAME = ("seed", "precision", "backend")  # beside the recipe, what compared runs should share


def study_table(study):
    """Markdown table of a study.

    Args:
        study: `utils.records.studies.Study` with at least one run.

    Returns:
        str.
    """
    return _table_of_test_sets(study) if study.of_test_sets else _table_of_seeds(study)


def scaled_down_from(study):
    """The recipes of a study's runs as they are at full scale, if all runs had a smaller network.

    Args:
        study: `utils.records.studies.Study` with at least one run.

    Returns:
        List of `utils.settings.Recipe`, one for each run; empty if a run had the full depth.
    """
    recipes = [one.run["recipe"] for _, records in study.results for one in records]
    whole = [RECIPES.get(recipe["name"]) for recipe in recipes]  # None: of former times
    small = all(
        full and recipe["depth"] < full.depth for recipe, full in zip(recipes, whole, strict=True)
    )
    return whole if small else []


def study_line(study):
    """A study in one line of a table.

    Args:
        study: `utils.records.studies.Study` with at least one run.

    Returns:
        Dict of `title`, `of_test_sets` (bool), `scaled_down` (bool), `models`, `epochs` and
        `seeds` (how many each result has), and `results`, a list of (label, accuracies as text).
    """
    runs = [one for _, records in study.results for one in records]
    results = []
    for label, records in study.results:
        if study.of_test_sets:
            cells = accuracies(records[0]).values()
            found = ", ".join(f"{100 * one['accuracy']:.2f} % on {one['source']}" for one in cells)
        else:
            found = mean_text([one.run["final"]["accuracy"] for one in records])
        results.append((label, found))
    return {
        "title": study.title,
        "of_test_sets": study.of_test_sets,
        "scaled_down": bool(scaled_down_from(study)),
        "models": [one.model for one in runs],
        "epochs": [one.run["recipe"]["epochs"] for one in runs],
        "seeds": [len(records) for _, records in study.results],
        "results": results,
    }


def _table_of_seeds(study):
    """Mean and spread over seeds; where entries add up, also the change from line to line."""
    lines, before = [], None
    for label, records in study.results:
        found = [one.run["final"]["accuracy"] for one in records]
        mean = fmean(found)
        change = None if before is None else mean - before
        lines.append({"label": label, "accuracies": found, "change": change})
        before = mean
    runs = [one for _, records in study.results for one in records]
    return text("study", lines, runs, scaled_down_from(study), study.adds_up)


def accuracies(record):
    """What a network gives on every test set that it was measured on.

    Args:
        record: `utils.records.read.Record`.

    Returns:
        Dict of the content hash of a data set to a dict with `source`, `accuracy`, `correct`,
        `images` and, if it was counted, `flip_averaged`.
    """
    data = record.run["data"]
    own = record.run["final"] | {"flip_averaged": record.run.get("flip_averaged")}
    own |= {"source": data["source"], "content_hash": data["content_hash"]}
    return {one["content_hash"]: one for one in (own, *record.run.get("measured", []))}


def _table_of_test_sets(study):
    """A line for each run, a column for each test set; of two runs also the difference."""
    runs = [records[0] for _, records in study.results]
    found = [accuracies(record) for record in runs]
    columns = {key: cell["source"] for one in found for key, cell in one.items()}
    columns = dict(sorted(columns.items(), key=lambda item: item[1]))
    lines = [
        (record, label, [one.get(key) for key in columns])
        for record, (label, _), one in zip(runs, study.results, found)
    ]
    differences = []
    if len(runs) == 2:
        pairs = [(found[1].get(key), found[0].get(key)) for key in columns]
        differences = [difference(*pair) if all(pair) else None for pair in pairs]
    settings = [one.run["recipe"] | {key: one.run[key] for key in SAME} for one in runs]
    unequal = [
        key for key in settings[0] if any(one.get(key) != settings[0][key] for one in settings)
    ]
    return text("test_sets", list(columns.values()), lines, differences, unequal)
