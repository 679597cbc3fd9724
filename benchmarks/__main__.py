"""Measures everything and keeps it as records, from which README's *Performance* is written.

`make bench`, or `python -m benchmarks` in an environment of your own. Each variant runs in a
process of its own; those of a comparison take turns, so that a slow minute hits all alike. Variants
whose package is missing are left out. The machine must have nothing else to do.
"""

import argparse
import datetime
import importlib.util
import json
import os
import time
from pathlib import Path

from benchmarks.comparisons import comparisons, rehearsal
from benchmarks.workers import Worker, in_turn
from utils.atomic import write_text
from utils.records.benchmarks import GROWTH_FIGURE, OPERATIONS, rates, spread
from utils.runtime import git_commit

ROOT = Path(__file__).resolve().parents[1]
NAMES = [*comparisons(False, "float32"), OPERATIONS]
ON_REQUEST = ("settings",)  # what others need not measure again
BUSY = 0.5  # load above which something else keeps a core busy


def load_average():
    """Processes that wanted to run in the last minute, on average; NaN where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def circumstances(quick):
    """When and what is measured, and how busy the machine is before: the same in all records."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "quick": quick,
        "started": now.isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "load_average": round(load_average(), 2),
    }


def measure(comparison):
    """Measures the variants of a comparison that can be had.

    Returns:
        Dict of plain values, a record without its circumstances.
    """
    record = {"title": comparison.title, "alone": comparison.alone}
    missing = {
        name: [package for package in variant.needs if not importlib.util.find_spec(package)]
        for name, variant in comparison.variants.items()
    }
    record["left_out"] = {
        name: f"{comparison.variants[name].what} ({', '.join(packages)} not installed)"
        for name, packages in missing.items()
        if packages
    }
    for text in record["left_out"].values():
        print(f"  left out: {text}", flush=True)
    chosen = {name: one for name, one in comparison.variants.items() if not missing[name]}
    groups = [{name: one} for name, one in chosen.items()] if comparison.alone else [chosen]
    record["variants"] = {}
    for group in groups:
        record["variants"] |= measure_in_turn(group)
    # The first variant speaks for all: one machine, and Keras on TensorFlow, which all have.
    first = next(iter(record["variants"].values()))
    return record | {"device": first["device"], "versions": all_versions(record["variants"])}


def all_versions(variants):
    """The versions of every process in one dict."""
    versions = {}
    for variant in variants.values():
        versions |= variant["versions"]
    return versions


def measure_in_turn(variants):
    """Starts a worker for each variant, asks them in turn, and ends them.

    Args:
        variants: dict of name to `benchmarks.comparisons.Variant`.

    Returns:
        Dict of name to what was measured.
    """
    workers = {}
    try:
        for name, one in variants.items():
            print(f"  starting {one.what}", flush=True)
            workers[name] = Worker(one.maker, one.options, one.backend, one.environment)
        answers = in_turn(workers, {name: one.passes for name, one in variants.items()})
    finally:
        for worker in workers.values():
            worker.close()
    measured = {}
    for name, one in variants.items():
        measured[name] = {
            "what": one.what,
            "backend": one.backend,
            "options": one.options,
            "environment": one.environment,
            **workers[name].facts,
            "seconds": [round(answer["seconds"], 5) for answer in answers[name]],
            "peak_mb": answers[name][-1]["peak_mb"],
        }
        print(f"  {spread(rates(measured[name]), 1):>28} images a second: {one.what}", flush=True)
    return measured


def measure_operations(on_gpu, quick):
    """Profiles the training step; None on a GPU, where the profile has other names."""
    if on_gpu:
        print("  left out: the profile is for a CPU")
        return None
    depth, batch_size, steps, passes = (11, 16, 2, 2) if quick else (56, 128, 3, 5)
    title = f"Where the time of a training step goes, ResNet{depth}v2, batches of {batch_size}"
    options = {"depth": depth, "batch_size": batch_size, "steps": steps, "passes": passes}
    worker = Worker("operations.profile", options)
    worker.close()
    return {"title": title, "options": options} | worker.facts


def draw_growth(record, path):
    """Draws time and memory against images, depth and batch size.

    Args:
        record: dict, the record of the comparison `growth`.
        path: PNG file to write.
    """
    from utils.figures.benchmarks import plot_scaling
    from utils.figures.style import save_png

    panels = []
    axes = {"images": "count", "depth": "depth", "batch": "batch_size"}
    labels = {"images": "images", "depth": "depth", "batch": "batch size"}
    for axis, option in axes.items():
        points = [v for name, v in record["variants"].items() if name.startswith(f"{axis}-")]
        x = [point["options"][option] for point in points]
        times = [sorted(point["seconds"]) for point in points]
        seconds = [(one[len(one) // 2], one[0], one[-1]) for one in times]
        panels.append((labels[axis], "seconds an epoch", {"ours": (x, *zip(*seconds))}))
        peaks = [point["peak_mb"] for point in points]
        if None not in peaks:
            panels.append((labels[axis], "peak memory (MB)", {"ours": (x, peaks, peaks, peaks)}))
    save_png(plot_scaling(panels[::2] + panels[1::2]), path)


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
    if common["load_average"] > BUSY:
        print(
            f"The machine is busy (load {common['load_average']:.1f}): the times will be wrong. "
            f"Wait until nothing else runs, then start again."
        )
    begin = time.perf_counter()
    machine = Worker("machine.describe", {})
    machine.close()
    on_gpu, precision = machine.facts["on_gpu"], machine.facts["precision"]
    print(f"{machine.facts['device']}, {precision}; records go to {output}", flush=True)
    tables = comparisons(on_gpu, precision)
    for name in args.names or [name for name in NAMES if name not in ON_REQUEST]:
        print(f"{name}, after {(time.perf_counter() - begin) / 60:.1f} minutes", flush=True)
        if name == OPERATIONS:
            record = measure_operations(on_gpu, args.quick)
        else:
            comparison = rehearsal(tables[name]) if args.quick else tables[name]
            record = measure(comparison)
        if record is not None:
            write_text(output / f"{name}.json", json.dumps(common | record, indent=1) + "\n")
        if name == "growth":
            draw_growth(record, output / GROWTH_FIGURE)
    print(f"Done after {(time.perf_counter() - begin) / 60:.1f} minutes.")
    if not args.quick:
        print("`make readme` enters the numbers in README.md.")


if __name__ == "__main__":
    main()
