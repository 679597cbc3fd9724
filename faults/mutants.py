"""Plants faults in the code, one at a time, and counts those that a test notices: `make mutants`.

The tool is mutmut (its settings: `[tool.mutmut]` in pyproject.toml), which forks a process with
Keras loaded for every mutant; this module draws a sample with a seed, because all mutants take
hours, and keeps the result as a record. `mutmut browse` shows the mutants, which lie in `mutants/`.
"""

import argparse
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from utils.records.mutants import RECORD
from utils.records.read import ROOT
from utils.runtime import git_commit
from utils.training.run_folder import write_json

FIRST = "utils.training.schedule.x__check_total_steps__*"  # a few, to begin with
NOTICED = ("killed", "timeout")  # a mutant that never ends is noticed, too


def mutmut(*arguments):
    """Runs mutmut in the root of the repository; returns what it prints."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"mutmut failed, its last words: {done.stdout[-2000:]}")
    return done.stdout


def results():
    """Maps the name of every mutant to its status."""
    lines = mutmut("results", "--all", "true").splitlines()
    return dict(line.strip().rsplit(": ", 1) for line in lines if "__mutmut_" in line)


def module_of(name):
    """`training.schedule` of `utils.training.schedule.x_piecewise__mutmut_1`."""
    return name.rpartition(".")[0].removeprefix("utils.")


def draw(names, count, seed):
    """A sample of the mutants of each module.

    Args:
        names: iterable of str, all mutants.
        count: int, the most of a module, or None for all.
        seed: int.

    Returns:
        Dict of module to sorted list of names, the same for a seed in whatever order names come.
    """
    modules = {}
    for name in sorted(names):
        modules.setdefault(module_of(name), []).append(name)
    return {
        module: sorted(random.Random(seed).sample(found, min(len(found), count or len(found))))
        for module, found in modules.items()
    }


def change(name):
    """The lines that a mutant takes out and puts in, as `- old` and `+ new`, not indented."""
    lines = mutmut("show", name).splitlines()
    lines = [line for line in lines if line[:1] in ("+", "-") and line[1:2] not in ("+", "-")]
    return [f"{line[0]} {line[1:].strip()}" for line in lines]


def make_record(sample, status, old, seconds, seed, show=change):
    """What is kept; the answers to survivors are taken over from the record before.

    Args:
        sample: dict of module to list of mutants that were tried.
        status: dict of every mutant to its status.
        old: the record before, or an empty dict.
        seconds: float, how long all took.
        seed: int, of the sample.
        show: function of a mutant's name that gives its change.

    Returns:
        dict, as `utils.records.mutants.read_mutants` checks it.
    """
    answers = {(one["module"], *one["change"]): one["answer"] for one in old.get("survivors", ())}
    survivors, modules = [], []
    for module, names in sample.items():
        left = [name for name in names if status[name] not in NOTICED]
        for name in left:
            lines = show(name)
            answer = answers.get((module, *lines), "")
            survivors.append({"module": module, "change": lines, "answer": answer})
        total = sum(module_of(name) == module for name in status)
        counts = {"mutants": total, "tried": len(names), "noticed": len(names) - len(left)}
        modules.append({"module": module, **counts})
    return {
        "tool": f"mutmut {importlib.metadata.version('mutmut')}",
        "seed": seed,
        "seconds": round(seconds, 1),
        "git_commit": git_commit(),
        "modules": modules,
        "survivors": survivors,
    }


def main(arguments=None):
    """Parses the command line and plants the faults."""
    parser = argparse.ArgumentParser(prog="python -m faults.mutants", description=__doc__)
    parser.add_argument("--count", type=int, help="mutants of each module; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--seconds",
        type=float,
        default=30,
        help="of tests that a mutant is given, the fastest first; more notice more",
    )
    args = parser.parse_args(arguments)
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    begin = time.monotonic()
    mutmut("run", "--max-children", "1", FIRST)  # makes all mutants, and times the tests
    os.environ["MUTANT_SECONDS"] = str(args.seconds)  # see conftest.py
    sample = draw(results(), args.count, args.seed)
    mutmut("run", "--max-children", "1", *sum(sample.values(), []))
    old = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record = make_record(sample, results(), old, time.monotonic() - begin, args.seed)
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    write_json(RECORD, record)
    print(f"Kept in {RECORD}; `make readme` enters it into README.md.")


if __name__ == "__main__":
    main()
