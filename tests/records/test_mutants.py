"""The record of `make mutants`: drawn, made, read, checked and shown as a table."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from faults.mutants import draw, make_record
from utils.records.mutants import mutants_block, read_mutants
from utils.training.run_folder import write_json

MODULES = [
    {"module": "training.schedule", "mutants": 286, "tried": 20, "noticed": 19},
    {"module": "records.check", "mutants": 1_302, "tried": 30, "noticed": 30},
]
SURVIVOR = {"module": "training.schedule", "change": ["- a < b", "+ a <= b"], "answer": "a is odd"}
RECORD = {"tool": "mutmut 3.8.1", "seed": 0, "seconds": 630.0, "git_commit": "0123456789abcdef"}
RECORD |= {"modules": MODULES, "survivors": [SURVIVOR]}


def test_record_comes_back_and_becomes_a_table(tmp_path):
    path = tmp_path / "mutants.json"
    write_json(path, RECORD)
    assert read_mutants(path) == RECORD
    untried = {"module": "training.fit", "mutants": 9, "tried": 0, "noticed": 0}
    write_json(path, RECORD | {"modules": [*MODULES, untried]})
    assert "| training.fit | 0 of 9 | 0 | – |" in mutants_block(path)
    write_json(path, RECORD)
    head, rule, schedule, check, total, empty, text = mutants_block(path).splitlines()
    assert schedule == "| training.schedule | 20 of 286 | 19 | 95 % |"
    assert check == "| records.check | 30 of 1,302 | 30 | 100 % |"
    assert total == "| all | 50 of 1,588 | 49 | 98 % |"
    assert "mutmut 3.8.1" in text and "seed 0, in 10 minutes; commit 0123456789ab." in text
    assert "Of 1 that no test noticed, 1 are answered" in text


def test_a_sample_repeats_and_answers_are_taken_over(monkeypatch):
    names = [f"utils.{module}.x__mutmut_{n}" for module in ("a.b", "c.d") for n in range(30)]
    sample = draw(names, 5, seed=1)
    assert sample == draw(names[::-1], 5, seed=1) != draw(names, 5, seed=2)
    assert [len(one) for one in sample.values()] == [5, 5] and list(sample) == ["a.b", "c.d"]
    assert len(draw(names, None, seed=1)["a.b"]) == 30
    status = dict.fromkeys(names, "killed") | {name: "survived" for name in sample["a.b"][:2]}
    status[sample["a.b"][2]] = "timeout"
    monkeypatch.setattr("importlib.metadata.version", lambda name: "3.8.1")
    first = make_record(sample, status, {}, 60.0, 1, show=lambda name: [f"- {name}"])
    assert first["modules"][0] == {"module": "a.b", "mutants": 30, "tried": 5, "noticed": 3}
    first["survivors"][1]["answer"] = "changes nothing"
    again = make_record(sample, status, first, 60.0, 1, show=lambda name: [f"- {name}"])
    assert [one["answer"] for one in again["survivors"]] == ["", "changes nothing"]


@pytest.mark.parametrize(
    ("running", "left"),
    [
        ("a.b.x__mutmut_1", ["quick", "slow"]),
        ("list_all_tests", ["endless", "slow", "quick"]),  # mutmut forgets what is missing here
        ("stats", ["endless", "slow", "quick"]),
    ],
)
def test_a_mutant_is_given_so_many_seconds_of_its_own_tests(
    monkeypatch, tmp_path, pytestconfig, running, left
):
    root = Path(__file__).parents[2]
    conftest = pytestconfig.pluginmanager.get_plugin(str(root / "conftest.py"))
    durations = {"endless": 9.0, "slow": 2.0, "quick": 0.5, "of another mutant": 7.0}
    write_json(tmp_path / "mutmut-stats.json", {"duration_by_test": durations})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUTANT_UNDER_TEST", running)
    monkeypatch.setenv("MUTANT_SECONDS", "8")
    items = [
        SimpleNamespace(nodeid=name, get_closest_marker=lambda mark: None)
        for name in ("endless", "slow", "quick")
    ]
    conftest.pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == left


def test_without_a_record_the_command_is_named(tmp_path):
    assert "make mutants" in mutants_block(tmp_path / "mutants.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "is no JSON"),
        (json.dumps(RECORD | {"seed": "0"}).encode(), "seed is '0', not a int"),
        (json.dumps(RECORD | {"survivors": [3]}).encode(), "module is None"),
        (json.dumps(RECORD | {"survivors": []}).encode(), "19 were noticed and 0 are listed"),
        (
            json.dumps(RECORD | {"modules": [MODULES[1] | {"tried": 1_303}]}).encode(),
            "of 1303 of 1302 mutants",
        ),
    ],
)
def test_a_damaged_record_is_refused_with_file_and_remedy(tmp_path, content, message):
    path = tmp_path / "mutants.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"mutants.json.*{message}.*make mutants"):
        mutants_block(path)
