"""Plants faults in the code, one at a time, and counts those that a test notices: `make mutants`.

The tool is mutmut (its settings: `[tool.mutmut]` in pyproject.toml); this script draws a sample of
its mutants with a seed, because all of them take hours, and keeps the result as a record.
`mutmut browse` shows what is in `mutants/`, the folder that mutmut makes.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from utils.records.mutants import RECORD, write_mutants  # noqa: E402
from utils.runtime import git_commit  # noqa: E402

FIRST = "utils.training.schedule.x_piecewise__mutmut_1"
NOTICED = ("killed", "timeout")  # a mutant that never ends is noticed, too


def mutmut(*arguments):
    """Runs mutmut in the root of the repository, on one process; returns what it prints."""
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
    """A sample of at most `count` mutants of each module, all for None; the same for a seed."""
    modules = {}
    for name in sorted(names):
        modules.setdefault(module_of(name), []).append(name)
    rng = random.Random(seed)
    return {
        module: sorted(rng.sample(found, min(len(found), count or len(found))))
        for module, found in modules.items()
    }


def change(name):
    """The lines that a mutant takes out and puts in, as `- old` and `+ new`."""
    lines = mutmut("show", name).splitlines()
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def make_record(sample, status, old, seconds, seed):
    """What is kept; the answers to survivors are taken over from the record before."""
    answers = {tuple(one["change"]): one["answer"] for one in old.get("survivors", ())}
    survivors = []
    for name in sum(sample.values(), []):
        if status[name] not in NOTICED:
            lines = change(name)
            answer = answers.get(tuple(lines), "")
            survivors.append({"module": module_of(name), "change": lines, "answer": answer})
    modules = [
        {
            "module": module,
            "mutants": sum(module_of(name) == module for name in status),
            "tried": len(names),
            "noticed": sum(status[name] in NOTICED for name in names),
        }
        for module, names in sample.items()
    ]
    return {
        "tool": f"mutmut {importlib.metadata.version('mutmut')}",
        "seed": seed,
        "seconds": round(seconds, 1),
        "git_commit": git_commit(),
        "modules": modules,
        "survivors": survivors,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="mutants of each module; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    args = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    begin = time.monotonic()
    mutmut("run", "--max-children", "1", FIRST)  # makes all mutants, and times the tests
    sample = draw(results(), args.count, args.seed)
    mutmut("run", "--max-children", "1", *sum(sample.values(), []))
    old = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    record = make_record(sample, results(), old, time.monotonic() - begin, args.seed)
    write_mutants(RECORD, record)
    print(f"Kept in {RECORD}; `make readme` enters it into README.md.")


if __name__ == "__main__":
    main()
