"""Studies: the chain of fixes leads from one recipe to the other, and runs are not mixed up."""

import dataclasses
from types import SimpleNamespace

import numpy as np
from sample_data import noise

from utils.commands import run_recipe, studies
from utils.records.read import read_record
from utils.settings import RECIPES
from utils.training.recipe_schedule import decay_e_foldings, schedule_values
from utils.training.run_folder import check_plan


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


def runs_in(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/run.json")}


def test_command_trains_records_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_recipe, "load_dataset", lambda source: noise(80, 20))
    entries = {entry.name: entry for entry in studies.super_convergence()}
    short = [entries["one-cycle-50"], entries["step-decay-50"]]
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
        (["--precision", "mixed_float16"], "the options of that run, such as --precision"),
    ):
        assert studies.main([*arguments, "3", *mistake]) == 1
        assert words in capsys.readouterr().err
    assert runs_in(tmp_path / "study") == before, "refused only after training"
    monkeypatch.setitem(studies.STUDIES, "length", ("Another question", lambda: short[1:]))
    assert studies.main(["length", *arguments[1:], "1"]) == 1
    assert "holds the study 'Short', now 'Another question'" in capsys.readouterr().err
    record = read_record(tmp_path / "study" / "step-decay-50-seed-1")
    assert record.run["seed"] == 1 and "held out" in record.run["data"]["validation"]


def test_a_study_goes_on_in_the_precision_it_began_with(tmp_path, monkeypatch):
    """Also on another machine, which prefers another one."""
    started, [entry] = [], studies.super_convergence()[2:3]

    def run(*args, precision, **options):
        started.append(precision)

    monkeypatch.setattr(studies, "run_recipe", run)
    monkeypatch.setattr(studies, "describe_runtime", lambda: SimpleNamespace(precision="float32"))

    def start(**options):
        arguments = "Short", [entry], noise(10, 10), tmp_path / "study", [0, 1]
        studies.run_study(*arguments, validation="test set", **options)

    start()
    (tmp_path / "study" / "one-cycle-50-seed-1").mkdir()
    check_plan(tmp_path / "study" / "one-cycle-50-seed-1", {"precision": "mixed_bfloat16"})
    start()
    start(precision="mixed_float16")
    assert started[::2] == started[1::2] == ["float32", "mixed_bfloat16", "mixed_float16"]


def test_bad_values_end_in_one_line(capsys):
    assert studies.main(["fixes", "--seeds", "0"]) == 1
    assert capsys.readouterr().err == "error: --seeds must be at least 1, got 0.\n"
