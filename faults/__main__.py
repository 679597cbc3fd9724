"""Tries all faults, prints a table and keeps it: `python -m faults`, or `make faults`.

`--quick` rehearses with a few tries of each and keeps nothing.
"""

import argparse
import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import disk, files, fuzz, hostile, kills, memory, repeats
from faults.errors import describe
from faults.result import Result
from utils.records.faults import RECORD
from utils.runtime import describe_runtime, git_commit
from utils.training.run_folder import write_json

GROUPS = ("kills", "repeats", "files", "disk", "memory", "fuzz", "hostile")
# Kills of each configuration, of the notebook, repeats, flips of each file, full disks, inputs.
FULL, QUICK = (20, 2, 6, 100, disk.ROOMS, fuzz.TOTAL), (2, 1, 2, 10, disk.ROOMS[:1], 2_000)


def say(text):
    print(text, flush=True)


def try_kills(count, notebooks, scratch):
    """All kill tests, two processes at a time; returns a list of `Result`."""
    calls = [
        lambda one=one: kills.kill_training(one, count, scratch, report=say)
        for one in kills.CONFIGURATIONS
    ]
    calls.append(lambda: kills.kill_notebook(notebooks, scratch, report=say))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda call: call(), calls))


def try_faults(groups, plan, scratch):
    """Tries the groups of faults in turn; returns a list of `Result`."""
    count, notebooks, times, flips, rooms, inputs = plan
    parts = {
        "kills": lambda folder: try_kills(count, notebooks, folder),
        "repeats": lambda folder: repeats.repeat_all(times, folder, report=say),
        "files": lambda folder: files.damage_files(folder, flips, report=say),
        "disk": lambda folder: [
            disk.fail_each_write(folder / "writes", report=say),
            disk.fill_disk(folder / "full", rooms, report=say),
        ],
        "memory": lambda folder: [memory.lack_memory(folder)],
        "fuzz": lambda folder: fuzz.fuzz(folder, inputs, report=say),
        "hostile": lambda folder: hostile.attack(folder / "attacks", report=say),
    }
    results = []
    for group in groups:
        say(f"{group}: {parts_text(group)}")
        folder = scratch / group
        folder.mkdir()
        try:
            results += parts[group](folder)
        except Exception as error:  # a fault of these tests must not hide what the others found
            result = Result(group, "the test itself")
            result.add(describe(error))
            results.append(result.done())
        shutil.rmtree(folder, ignore_errors=True)
    return results


def parts_text(group):
    """First line of the docstring of the module that tries a group."""
    return sys.modules[f"faults.{group}"].__doc__.splitlines()[0]


def make_record(results, seconds):
    """What is kept: every line of the table, and where it was made."""
    runtime = describe_runtime()
    versions = runtime.versions()
    versions |= {
        name: importlib.metadata.version(name)
        for name in ("jax", "numpy", "h5py", "hypothesis")
        if importlib.util.find_spec(name)
    }
    fields = ("group", "fault", "tries", "survived", "seconds", "note", "failures")
    return {
        "faults": [{field: getattr(result, field) for field in fields} for result in results],
        "seconds": round(seconds, 1),
        "device": runtime.device,
        "versions": versions,
        "git_commit": git_commit(),
    }


def main(arguments=None):
    """Parses the command line and tries the faults; returns the exit status: 1 after a failure."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="few tries, and no record")
    parser.add_argument(
        "--output", type=Path, default=RECORD, help="the record, by default %(default)s"
    )
    args = parser.parse_args(arguments)
    if unknown := set(args.groups) - set(GROUPS):
        parser.error(f"unknown group {', '.join(sorted(unknown))}; choose of {', '.join(GROUPS)}")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assignment-faults-") as scratch:
        scratch = Path(scratch)
        scratch.chmod(0o755)  # the tests without permission turn into another user
        results = try_faults(args.groups or GROUPS, QUICK if args.quick else FULL, scratch)
    seconds = time.monotonic() - begin
    failed = [result for result in results if result.failures]
    say("\n" + "\n".join(result.line() for result in results))
    say(f"\n{sum(result.tries for result in results):,} tries in {seconds / 60:.1f} minutes")
    if args.quick or args.groups:
        say("A part or a rehearsal: nothing is kept.")
    else:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.output, make_record(results, seconds))
        say(f"Kept in {args.output}; `make readme` enters it into README.md.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
