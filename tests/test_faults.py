"""The instruments of `make faults`: do they notice what they are there for?"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from faults import memory, repeats, samples, targets, workload
from faults.__main__ import GROUPS as parts
from faults.__main__ import parts_text
from faults.errors import is_ours
from faults.guard import Guard, read_state
from faults.hostile import TESTS
from faults.mutation import mutation
from faults.result import Result
from utils.records.faults import GROUPS, read_faults
from utils.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent


def caught(call):
    try:
        call()
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("call", "ours"),
    [
        (lambda: load_settings("nonsense"), True),  # raised by this repository
        (lambda: open("/nowhere/at/all"), True),  # names the file
        (lambda: int("x"), False),
        (lambda: json.loads("{"), False),
        (lambda: {}["key"], False),
        (lambda: os.fsync(-1), False),  # names nothing
    ],
)
def test_only_errors_that_a_user_can_act_on_are_ours(call, ours):
    assert is_ours(caught(call)) == ours


def test_the_guard_counts_refusals_and_notices_the_rest(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    guard = Guard(inside, tmp_path / "state")
    guard.folders = (str(inside),)  # pytest's folders lie in the temporary one
    guard.run(lambda: (inside / "file").write_text("x"))
    guard.run(lambda: load_settings("nonsense"))
    assert guard.failures == {} and read_state(tmp_path / "state") == (2, 0)
    for call, words in (
        (lambda: {}["key"], "KeyError"),
        (lambda: os.system("true"), "executes: os.system"),
        (lambda: (tmp_path / "outside").write_text("x"), "writes "),
    ):
        guard.failures.clear()
        guard.run(call)
        [(count, example)] = guard.failures.values()
        assert count == 1 and words in example
    assert (guard.tried, guard.refused) == (5, 1)


@pytest.mark.parametrize("evil", ["time.sleep(60)", "os.abort()"])
def test_a_hang_and_a_crash_end_the_process_and_leave_the_count(tmp_path, evil):
    program = (
        "import os, sys, time; from pathlib import Path; from faults import guard\n"
        "guard.SECONDS = 0.2; folder = Path(sys.argv[1])\n"
        "one = guard.Guard(folder, folder / 'state')\n"
        f"one.run(int); one.run(lambda: {evil})"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True)
    assert done.returncode != 0 and read_state(tmp_path / "state") == (2, 0)


def test_repeats_find_the_run_that_differs_and_how_far(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "runs" / "shapes-resnet20v2", tmp_path / "shapes")
    values = iter([None, 1.0, 1.0, 1.25, None, 1.0, 1.0, 1.25])

    def train(command, log, backend, **variables):
        value = next(values)
        if value is None:
            raise RuntimeError("the first run ended")
        folder = Path(command[command.index("--output") + 1])
        folder.mkdir(parents=True)
        for name in ("history.csv", "run.json", "weights.npz"):
            shutil.copy(tmp_path / "shapes" / name, folder)
        with h5py.File(folder / "checkpoint-0001.weights.h5", "w") as file:
            file["layers/kernel"] = np.array([0.5, value], "float32")

    monkeypatch.setattr(workload, "run", train)
    for must in (True, False):
        (tmp_path / str(must)).mkdir()
        repeat = repeats.Repeat("tensorflow", "float32", 1, must)
        result = repeats.repeat_training(repeat, 4, tmp_path / str(must), lambda line: None)
        assert (result.tries, result.survived) == (3, 1) and "0.2 apart" in result.note
        assert len(result.failures) == 1 + must and result.fault.endswith("1 thread")


def test_what_climbs_out_of_an_archive_is_noticed(tmp_path):
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    target = targets.archive(folder, next(iter(samples.editions().values())))
    whole, *_ = target.samples
    target.read(whole)
    (tmp_path / "climbed-out").write_bytes(b"x")
    with pytest.raises(AssertionError, match="climbed-out"):
        target.read(whole)


def test_mutations_repeat_and_differ():
    samples = [bytes(range(256)) * 4, b"other"]
    first = [mutation(samples, 0, index) for index in range(200)]
    assert first == [mutation(samples, 0, index) for index in range(200)]
    assert first != [mutation(samples, 1, index) for index in range(200)]
    assert len(set(first)) > 150 and np.mean([one in samples for one in first]) < 0.05


def test_a_result_lists_what_was_not_survived():
    result = Result("files", "cut")
    result.add()
    result.add("it broke", 3)
    result.add_unnoticed()
    line = result.done("a note").line()
    assert (result.tries, result.survived) == (5, 1)
    assert "1 of       5 survived" in line and "(a note)" in line and "it broke" in line


def test_every_group_has_a_name_and_a_fault_on_record():
    recorded = {fault["group"]: fault["fault"] for fault in read_faults()["faults"]}
    assert set(recorded) == set(GROUPS) == set(parts)
    assert recorded["memory"].startswith("no memory for a batch") and "disk" in recorded["disk"]
    assert all(parts_text(group) for group in parts)


def test_every_test_that_is_run_by_name_is_there():
    for names in (*TESTS.values(), memory.TESTS):
        for name in names:
            path, function = name.split("::")
            assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), name
