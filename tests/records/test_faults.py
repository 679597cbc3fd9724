"""The record of `make faults`: read, checked and shown as a table."""

import json

import pytest

from utils.records.faults import faults_block, faults_summary, read_faults
from utils.training.run_folder import write_json

KILL = {"group": "kills", "fault": "SIGKILL", "tries": 20, "survived": 20, "seconds": 61.4}
KILL |= {"note": "3 while writing", "failures": []}
FUZZ = {"group": "fuzz", "fault": "a | b", "tries": 100_000, "survived": 99_999, "seconds": 5.0}
FUZZ |= {"note": "", "failures": ["input 7: KeyError"]}


def make_record(*faults):
    place = {"device": "CPU (test, 2 cores)", "versions": {"keras": "3.15.1"}}
    return {"faults": list(faults), "seconds": 630.0, "git_commit": "0123456789abcdef", **place}


def test_record_comes_back_and_becomes_a_table(tmp_path):
    path = tmp_path / "faults.json"
    record = make_record(KILL, FUZZ)
    write_json(path, record)
    assert read_faults(path) == record
    head, rule, kill, fuzz, empty, text = faults_block(path).splitlines()
    assert kill == "| SIGKILL (3 while writing) | 20 | 20 | 61 |"
    assert fuzz == "| a \\| b | 100,000 | **99,999** | 5 |"
    assert text.startswith("100,020 tries, 100,000 of them senseless inputs, in 10 minutes on CPU")
    assert "keras 3.15.1; commit 0123456789ab." in text and "bold" in text
    write_json(path, make_record(KILL))
    assert "bold" not in faults_block(path)


def test_the_summary_adds_up_each_group(tmp_path):
    path = tmp_path / "faults.json"
    write_json(path, make_record(KILL, FUZZ, KILL | {"fault": "power failure"}))
    assert faults_summary(path).splitlines()[2:] == [
        "| a training is killed at a random moment, and started again | 40 | 40 |",
        "| senseless input | 100,000 | **99,999** |",
    ]


def test_without_a_record_the_command_is_named(tmp_path):
    assert "make faults" in faults_block(tmp_path / "faults.json")
    assert "make faults" in faults_summary(tmp_path / "faults.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "faults is None, not a list"),
        (json.dumps(make_record(KILL) | {"device": None}).encode(), "device is None, not a str"),
        (json.dumps(make_record(KILL | {"tries": "20"})).encode(), "tries is '20', not a int"),
        (json.dumps(make_record(KILL | {"survived": 21})).encode(), "of 20 tries .* 21 were"),
        (json.dumps(make_record(3)).encode(), "group is None"),
    ],
)
def test_a_damaged_record_is_refused_with_file_and_remedy(tmp_path, content, message):
    path = tmp_path / "faults.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"faults.json.*{message}.*make faults"):
        faults_block(path)
