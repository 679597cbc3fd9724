"""Studies: the chain of fixes leads from one recipe to the other, and runs are not mixed up."""

import dataclasses
import json
import statistics

import numpy as np
import pytest
from sample_data import noise
from sample_records import write_record

from utils.commands import run_recipe, studies
from utils.records import studies as study_records
from utils.records.read import read_record, wilson_interval
from utils.settings import RECIPES
from utils.training.fit import decay_e_foldings, schedule_values


def test_the_fixes_lead_from_2019_to_ours_and_each_changes_something():
    recipes = [entry.recipe for entry in studies.fixes()]
    assert recipes[0] == RECIPES["seed-2019"]
    assert dataclasses.replace(recipes[-1], name="one-cycle") == RECIPES["one-cycle"]
    assert all(one != other for one, other in zip(recipes, recipes[1:]))
    labels = [entry.label for entry in studies.fixes()]
    names = [entry.name for entry in studies.fixes()]
    assert len(set(labels)) == len(set(names)) == len(recipes)


def test_every_entry_has_a_schedule_that_can_be_computed():
    for _, make in studies.STUDIES.values():
        for entry in make():
            rate, momentum = schedule_values(entry.recipe, 50_000)
            steps = -(-50_000 // entry.recipe.batch_size)
            assert len(rate) == len(momentum) == steps * entry.recipe.epochs
            assert np.isfinite(rate).all() and (rate > 0).all()
            assert ((momentum >= 0.85) & (momentum <= 0.95)).all()


def test_the_classic_schedule_differs_from_ours_in_the_schedule_alone():
    classic = RECIPES["step-decay"]
    same = ("name", "schedule", "max_lr", "max_momentum", "base_momentum")
    ours = dataclasses.asdict(RECIPES["one-cycle"])
    assert dataclasses.asdict(classic) == {
        **ours,
        **{field: getattr(classic, field) for field in same},
    }


def test_the_penalty_of_the_recipe_lies_where_the_study_of_decay_found_no_difference():
    strong, middle, weak = (decay_e_foldings(entry.recipe, 45_000) for entry in studies.decay())
    assert weak < decay_e_foldings(RECIPES["one-cycle"], 50_000) < middle < strong
    small, full = studies.decay()[0].recipe, RECIPES["one-cycle"]
    assert small.max_lr / small.batch_size == full.max_lr / full.batch_size


def write_runs(folder, **accuracies):
    """Records named `<entry>-seed-<n>` with these final accuracies."""
    for name, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            path = write_record(folder / f"{name}-seed-{seed}", epochs=1)
            run = json.loads((path / "run.json").read_text())
            correct = round(1000 * accuracy)
            interval = list(wilson_interval(correct, 1000))
            run["final"] |= {"accuracy": accuracy, "correct": correct, "ci95": interval}
            run["best_epoch"] = {"epoch": 1, "accuracy": accuracy}
            (path / "run.json").write_text(json.dumps(run))
            history = (path / "history.csv").read_text().replace("0.8\n", f"{accuracy}\n")
            (path / "history.csv").write_text(history)
            read_record(path)
    return folder


@pytest.fixture
def folder(tmp_path):
    study_records.write_study(tmp_path, "Letters", {"a": "first", "b": "second"})
    return tmp_path


def test_table_gives_mean_spread_and_change(folder):
    write_runs(folder, a=[0.70, 0.72, 0.71], b=[0.75, 0.77], c=[0.1])
    study = study_records.read_study(folder)
    assert study.title == "Letters"
    assert [(label, len(records)) for label, records in study.results] == [
        ("first", 3),
        ("second", 2),
    ]
    lines = study_records.study_table(study).splitlines()
    assert lines[2] == "| first | 3 | 71.00 ± 1.00 % |  | 1.0 |"
    deviation = 100 * statistics.stdev([0.75, 0.77])
    assert lines[3] == f"| second | 2 | 76.00 ± {deviation:.2f} % | +5.00 | 1.0 |"
    assert "1 epochs, batches of 32; last epoch" in lines[-1]
    assert "measured on test set, for display only; CIFAR-10" in lines[-1]


def test_one_run_has_no_spread(folder):
    write_runs(folder, a=[0.7])
    table = study_records.study_table(study_records.read_study(folder))
    assert "| first | 1 | 70.00 % |  |" in table


def test_runs_on_different_images_are_not_compared(folder):
    write_runs(folder, a=[0.7, 0.8])
    path = folder / "a-seed-1" / "run.json"
    path.write_text(path.read_text().replace("0" * 64, "1" * 64))
    with pytest.raises(ValueError, match="a-seed-0, a-seed-1 were measured on different images"):
        study_records.read_study(folder)


def test_runs_of_different_recipes_have_no_mean(folder):
    write_runs(folder, a=[0.7, 0.8])
    path = folder / "a-seed-1" / "run.json"
    path.write_text(path.read_text().replace('"depth": 20', '"depth": 56'))
    with pytest.raises(ValueError, match="runs of a had different recipes or precisions"):
        study_records.read_study(folder)


def runs_in(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/run.json")}


def test_command_trains_records_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_recipe, "load_dataset", lambda source: noise(80, 20))
    short = studies.super_convergence()[:2]
    monkeypatch.setitem(studies.STUDIES, "super-convergence", ("Short", lambda: short))
    arguments = ["super-convergence", "--depth", "11", "--epochs", "4", "--hold-out", "20"]
    arguments += ["--output", str(tmp_path / "study"), "--seeds"]
    assert studies.main([*arguments, "1"]) == 0
    assert "one-cycle, 50 epochs" in capsys.readouterr().out
    before = runs_in(tmp_path / "study")
    assert sorted(before) == ["one-cycle-50-seed-0", "step-decay-50-seed-0"]
    assert studies.main([*arguments, "2"]) == 0
    after = runs_in(tmp_path / "study")
    assert len(after) == 4 and after.items() >= before.items()
    other = [*arguments, "2"]
    other[other.index("--epochs") + 1] = "3"  # the folder of a rehearsal, say
    capsys.readouterr()
    assert studies.main(other) == 1
    assert "finished run with other settings" in capsys.readouterr().err
    before = runs_in(tmp_path / "study")
    for mistake, words in (
        (["--hold-out", "30"], "content_hash"),  # given again, the last one counts
        (["--precision", "mixed_float16"], "precision"),
    ):
        assert studies.main([*arguments, "3", *mistake]) == 1
        assert words in capsys.readouterr().err
    assert runs_in(tmp_path / "study") == before, "refused only after training"
    monkeypatch.setitem(studies.STUDIES, "length", ("Another question", lambda: short[1:]))
    assert studies.main(["length", *arguments[1:], "1"]) == 1
    assert "holds the study 'Short', now 'Another question'" in capsys.readouterr().err
    record = read_record(tmp_path / "study" / "step-decay-50-seed-1")
    assert record.run["seed"] == 1 and "held out" in record.run["data"]["validation"]


def test_bad_values_end_in_one_line(capsys):
    assert studies.main(["fixes", "--seeds", "0"]) == 1
    assert capsys.readouterr().err == "error: --seeds must be at least 1, got 0.\n"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"title": "T"}', '{"title": "T", "entries": 3}']
)
def test_a_damaged_plan_of_a_study_is_named(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match="study.json is no plan of a study"):
        study_records.read_study(tmp_path)
