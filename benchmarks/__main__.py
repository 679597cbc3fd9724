"""Measures everything and keeps it as records, from which README's *Performance* is written.

`make bench`, or `python -m benchmarks` in an environment of your own. Each variant runs in a
process of its own and, but for growth, takes turns with the first one of its comparison, so that a
slow minute hits both. Variants whose package is missing are left out. The machine must have nothing
else to do: what other processes took of the processors is in every record.
"""

import argparse
import datetime
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.comparisons import comparisons, rehearsal
from benchmarks.processors import idle_share
from benchmarks.workers import Worker, in_turn, warm_up
from utils.atomic import write_text
from utils.records.benchmarks import OPERATIONS, rates, spread
from utils.records.idle import IDLE, disturbed
from utils.runtime import git_commit

ROOT = Path(__file__).resolve().parents[1]
NAMES = [*comparisons(False, "float32"), OPERATIONS]
# What others need not measure again.
ON_REQUEST = ("avx2-resnet20v2", "avx2-resnet56v2", "settings")
BUSY = 0.5  # load average above which, where nothing better is known, a core seems to be busy


def load_average():
    """Processes that wanted to run in the last minute, on average; NaN where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def circumstances(quick):
    """When and what is measured, and the load average before: the same in all records."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "quick": quick,
        "started": now.isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "load_average": round(load_average(), 2),
    }


def busy_now():
    """What keeps the machine busy before the first benchmark, in words; "" if nothing does."""
    others = idle_share()
    if others is None and load_average() > BUSY:
        return f"load average {load_average():.1f}"
    if others is not None and others > IDLE:
        return f"other processes take {100 * others:.0f} % of the processors"
    return ""


def start(variant):
    """Starts the worker of a variant.

    Raises:
        RuntimeError: when a package is missing or the worker does not get through its first pass.
    """
    missing = [package for package in variant.needs if not importlib.util.find_spec(package)]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed")
    print(f"  {variant.what}", flush=True)
    return Worker(variant.maker, variant.options, variant.backend, variant.environment)


def described(variant, worker, answers):
    """What was measured of a variant: a dict of plain values; its rate is printed."""
    measured = {
        "what": variant.what,
        "backend": variant.backend,
        "options": variant.options,
        "environment": variant.environment,
        **worker.facts,
        "seconds": seconds_of(answers),
        "others": [answer["others"] for answer in answers],
        "peak_mb": answers[-1]["peak_mb"],
    }
    print(f"    {spread(rates(measured), 1)} images a second", flush=True)
    return measured


def seconds_of(answers):
    """Seconds of each pass."""
    return [round(answer["seconds"], 5) for answer in answers]


def measure_alone(variants):
    """Measures variants one after the other: dict of name to what was measured."""
    measured = {}
    for name, variant in variants.items():
        with start(variant) as worker:
            warm_up(worker)
            (answers,) = in_turn([worker], variant.passes)
        measured[name] = described(variant, worker, answers)
    return measured


def measure_in_pairs(variants):
    """Measures the first variant in turn with each of the others.

    It stays alive all the time, the others come and go: two networks fit into the memory of a small
    machine, ten do not.

    Returns:
        Dict of name to what was measured, and dict of name to why a variant was left out.
    """
    (first, reference), *others = variants.items()
    measured, left_out, of_reference = {first: None}, {}, []
    with start(reference) as worker:
        warm_up(worker)
        for name, variant in others:
            try:
                with start(variant) as other:
                    warm_up(other)
                    ours, theirs = in_turn([worker, other], variant.passes)
            except RuntimeError as error:
                if worker.process.poll() is not None:  # it was not the other one that ended
                    raise
                print(f"  left out: {variant.what}: {error}", flush=True)
                left_out[name] = f"{variant.what} ({str(error).splitlines()[0]})"
                continue
            of_reference += ours
            measured[name] = described(variant, other, theirs)
            measured[name]["reference_seconds"] = seconds_of(ours)
    if not of_reference:
        raise SystemExit("Nothing could be measured beside the first variant; see above.")
    measured[first] = described(reference, worker, of_reference)
    return measured, left_out


def measure(comparison):
    """Measures a comparison: dict of plain values, a record without its circumstances."""
    if comparison.alone:
        measured, left_out = measure_alone(comparison.variants), {}
    else:
        measured, left_out = measure_in_pairs(comparison.variants)
    return {
        "title": comparison.title,
        "left_out": left_out,
        "device": next(iter(measured.values()))["device"],
        "versions": {k: v for one in measured.values() for k, v in one["versions"].items()},
        "variants": measured,
    }


def measure_operations(on_gpu, quick):
    """Profiles the training step; None on a GPU, where the profile has other names."""
    if on_gpu:
        print("  left out: the profile is for a CPU")
        return None
    depth, batch_size, steps, passes = (11, 16, 2, 2) if quick else (56, 128, 3, 5)
    title = f"Where the time of a training step goes, ResNet{depth}v2, batches of {batch_size}"
    options = {"depth": depth, "batch_size": batch_size, "steps": steps, "passes": passes}
    with Worker("operations.profile", options) as worker:
        pass  # its first answer has it all
    return {"title": title, "options": options} | worker.facts


def main(arguments=None):
    """Parses the command line, measures and writes the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="rehearse in small, for nothing")
    parser.add_argument("--output", type=Path, help="folder; default runs/benchmarks, quick build/")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    output = args.output or ROOT / ("build/benchmarks" if args.quick else "runs/benchmarks")
    output.mkdir(parents=True, exist_ok=True)
    common = circumstances(args.quick)
    if busy := busy_now():
        print(
            f"The machine is busy ({busy}): the times will be wrong. "
            f"Wait until nothing else runs, then start again."
        )
    begin = time.perf_counter()
    with Worker("machine.describe", {}) as machine:
        pass  # its first answer is all there is
    on_gpu, precision = machine.facts["on_gpu"], machine.facts["precision"]
    print(f"{machine.facts['device']}, {precision}; records go to {output}", flush=True)
    tables, noise = comparisons(on_gpu, precision), []
    for name in args.names or [name for name in NAMES if name not in ON_REQUEST]:
        print(f"{name}, after {(time.perf_counter() - begin) / 60:.1f} minutes", flush=True)
        if name == OPERATIONS:
            record = measure_operations(on_gpu, args.quick)
        else:
            comparison = rehearsal(tables[name]) if args.quick else tables[name]
            record = measure(comparison)
        if record is not None:
            noise += [f"{name}: {words}" for words in disturbed(record)]
            write_text(output / f"{name}.json", json.dumps(common | record, indent=1) + "\n")
    print(f"Done after {(time.perf_counter() - begin) / 60:.1f} minutes.")
    if noise and not args.quick:
        print("\n  ".join(["Something else ran meanwhile; measure these again:", *noise]))
        return 1
    if not args.quick:
        print("`make readme` enters the numbers in README.md and draws the figure.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
