"""Reads what `make bench` has measured, and shows it as the README's *Performance*.

A record is a file `runs/benchmarks/<name>.json`, written by `python -m benchmarks`. But for growth,
the first variant took turns with each of the others in one run, so ratios are taken turn by turn.
"""

import json
import statistics
from pathlib import Path

from utils.records.idle import disturbed, most_by_others, others

BENCHMARKS = "benchmarks"  # a folder of runs/
GROWTH = "growth"  # the record that is drawn, see utils.records.drawings
GROWTH_FIGURE = "scaling.png"
OPERATIONS = "operations"  # the record with a profile instead of variants
# As README shows them; others follow.
ORDER = ("training-resnet20v2", "training-resnet56v2", OPERATIONS, GROWTH, "prediction")
KERAS = ("keras-mixed", "keras-defaults")  # in the precision of ours, and as a newcomer starts
# What README shows of them, by the names of variants; the rest stands in runs/README.md.
SUMMARY = {
    "training-resnet56v2": ("ours", "torch-eager", "torch-compiled", *KERAS),
    "training-resnet20v2": ("ours", "generator", "ours-jax"),
    "grad-cam": ("ours", "ours-torch", "tf-keras-vis", "pytorch-grad-cam"),
}
NONE_YET = "*No benchmark is recorded yet; `make bench` makes the records.*"
LEAST_PASSES = 5
REDO = "do not edit records by hand: run `make bench` again"


def read_benchmarks(folder):
    """Reads all records of a folder.

    Args:
        folder: path of `runs/benchmarks`; it need not exist.

    Returns:
        Dict of name to record, a dict as `python -m benchmarks` wrote it, in the order of `ORDER`.

    Raises:
        ValueError: when a file is no JSON, is a rehearsal, lacks a part, has fewer passes than
            `LEAST_PASSES` or a time that is not above zero.
    """
    found, places = {}, {name: place for place, name in enumerate(ORDER)}
    paths = Path(folder).glob("*.json")
    for path in sorted(paths, key=lambda path: (places.get(path.stem, len(ORDER)), path.stem)):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            _check(record, path)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not valid JSON ({error}); {REDO}.") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} lacks a part or has a wrong one ({error!r}); {REDO}."
            ) from None
        found[path.stem] = record
    return found


def _check(record, path):
    if record["quick"]:
        raise ValueError(f"{path} is a rehearsal (--quick), which measures nothing; {REDO}.")
    if not all(record[part] for part in ("title", "started", "git_commit", "device", "versions")):
        raise ValueError(f"{path} does not say what was measured, when and where; {REDO}.")
    times = {name: variant["seconds"] for name, variant in record.get("variants", {}).items()}
    times |= record.get("seconds", {})
    if not times:
        raise ValueError(f"{path} holds no times; {REDO}.")
    for name, seconds in times.items():
        if len(seconds) < LEAST_PASSES:
            raise ValueError(
                f"{path}: {name} has {len(seconds)} passes, {LEAST_PASSES} are needed; {REDO}."
            )
        if not all(value > 0 for value in seconds):
            raise ValueError(f"{path}: times of {name} must be above zero, got {seconds}; {REDO}.")
    for name, shares in others(record).items():
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"{path}: others of {name} must be 0 to 1, got {shares}; {REDO}.")


def rates(variant):
    """Images a second of every pass of a variant."""
    return [variant["images"] / seconds for seconds in variant["seconds"]]


def speedups(record, name):
    """How many times as fast as a variant the first one of its record is, in every turn.

    Args:
        record: dict from `read_benchmarks` with `variants`.
        name: key of the variant, which took turns with the first one.

    Returns:
        List of floats, one a turn.
    """
    first, variant = next(iter(record["variants"].values())), record["variants"][name]
    turns = zip(variant["reference_seconds"], variant["seconds"], strict=True)
    return [first["images"] / a / (variant["images"] / b) for a, b in turns]


def build_seconds(variant):
    """Seconds of building, tracing and compiling: the first pass over what a later one takes."""
    return max(0.0, variant["first_pass_seconds"] - statistics.median(variant["seconds"]))


def spread(values, digits=0):
    """Median with smallest and largest, as text: `"1.50 (1.41 to 1.62)"`."""
    values = list(values)
    median, low, high = (f(values) for f in (statistics.median, min, max))
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def performance_summary(folder):
    """Markdown table of the comparisons that most readers look for, or what makes the records.

    Args:
        folder: path of `runs/benchmarks`.

    Raises:
        ValueError: as `read_benchmarks`.
    """
    records = read_benchmarks(folder)
    lines = ["| what | images a second | ours is ... times as fast |", "| --- | ---: | ---: |"]
    for name in SUMMARY:
        if name not in records:
            continue
        lines.append(f"| **{records[name]['title']}** | | |")
        for key in SUMMARY[name]:
            if variant := records[name]["variants"].get(key):  # else it was left out
                times = spread(speedups(records[name], key), 2) if key != "ours" else ""
                rate = statistics.median(rates(variant))
                lines.append(
                    f"| {variant['what']}; {variant['precision']} | {rate:,.0f} | {times} |"
                )
    if len(lines) == 2:
        return NONE_YET
    shown = [record for name, record in records.items() if name in SUMMARY]
    machines = {record["device"]: None for record in shown}
    words = "Medians, with the least and the largest factor of the passes in brackets. Where two "
    words += f"precisions differ, that is part of the factor. {'; '.join(machines)}"
    idle = most_by_others(shown)
    return "\n".join([*lines, "", f"{words}; {idle}." if idle else f"{words}."])


def performance_block(folder, alt=""):
    """Markdown of all records, or what makes them; the addresses of figures count from `runs/`.

    Args:
        folder: path of `runs/benchmarks`.
        alt: str, alternative text of the figure of growth; it is left out without one.

    Raises:
        ValueError: as `read_benchmarks`.
    """
    parts = []
    for name, record in read_benchmarks(folder).items():
        parts.append(f"### {record['title']}")
        parts += [operations_table(record) if name == OPERATIONS else comparison_table(record)]
        parts.append(conditions(record))
        if name == GROWTH and alt:
            parts.append(f"![{alt}]({BENCHMARKS}/{GROWTH_FIGURE})")
    return "\n\n".join(parts) or NONE_YET


def conditions(record):
    """One paragraph: machine, versions, commit, and what else the machine had to do."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    load = f"load before the first benchmark {record['load_average']:.1f}"
    text = (
        f"{record['device']}; {versions}; commit `{record['git_commit'][:7]}`, "
        f"{record['started'][:10]}; {most_by_others([record]) or load}."
    )
    if found := disturbed(record):
        text += f" **The machine was not idle**, other processes ran during {', '.join(found)}."
    if record.get("left_out"):
        text += f" Left out: {'; '.join(record['left_out'].values())}."
    return text


def comparison_table(record):
    """Markdown table of the variants; rates and ratios are medians with smallest and largest."""
    slow = min(statistics.median(rates(variant)) for variant in record["variants"].values()) < 100
    head = ("what", "precision", "images a second", "slowest pass / median")
    head += ("import + build, s", "peak memory, MB", "the first is ... times as fast")
    lines = [f"| {' | '.join(head)} |", "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, variant in record["variants"].items():
        peak = variant["peak_mb"]
        cells = (
            variant["what"],
            variant["precision"],
            spread(rates(variant), 1 if slow else 0),
            f"{max(variant['seconds']) / statistics.median(variant['seconds']):.2f}",
            f"{variant['import_seconds']:.1f} + {build_seconds(variant):.1f}",
            "not measured" if peak is None else f"{peak:,}",
            spread(speedups(record, name), 2) if "reference_seconds" in variant else "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def operations_table(record):
    """Markdown table of the time by kind of operation, and what the machine can do at most."""
    total = statistics.median(record["seconds"]["step"])
    lines = ["| operation | ms a step | share |", "| --- | ---: | ---: |"]
    kinds = {name: times for name, times in record["seconds"].items() if name in record["kinds"]}
    busy = sum(statistics.median(times) for times in kinds.values())
    for name, times in kinds.items():
        share = statistics.median(times) / busy
        lines.append(
            f"| {name} | {spread([1e3 * value for value in times], 1)} | {100 * share:.0f} % |"
        )
    limits = machine_limits(record)
    lines += [
        "",
        f"A step of {record['images']} images took {1e3 * total:.0f} ms under the profiler, "
        f"{record['images'] / total:.0f} images a second. The shares are those of the time summed "
        f"over all operations; some run side by side. A ReLU that TensorFlow has fused into a "
        f"batch normalization counts there. The machine multiplies matrices at "
        f"{limits['matmul_bfloat16'] / 1e12:.2f} TFLOP/s in bfloat16 and "
        f"{limits['matmul_float32'] / 1e12:.2f} in float32, and copies "
        f"{limits['copy'] / 1e9:.0f} GB/s. An image takes {record['flop_per_image'] / 1e9:.2f} "
        f"GFLOP and at least {record['bytes_per_image'] / 1e6:.1f} MB of activations read and "
        f"written in {record['precision']}: at most {limits['images_by_matmul']:.0f} images a "
        f"second by arithmetic, {limits['images_by_copy']:.0f} by memory.",
    ]
    return "\n".join(lines)


def machine_limits(record):
    """What the machine can do, from the profile's record.

    Returns:
        Dict: `matmul_bfloat16`, `matmul_float32` (FLOP/s) and `copy` (bytes/s), medians;
        `images_by_matmul`, `images_by_copy`, images a second if nothing else took time.
    """
    work = record["work"]  # FLOP or bytes of one measurement
    limits = {
        name: work[name] / statistics.median(record["seconds"][name])
        for name in ("matmul_bfloat16", "matmul_float32", "copy")
    }
    precision = "bfloat16" if record["precision"] == "mixed_bfloat16" else "float32"
    limits["images_by_matmul"] = limits[f"matmul_{precision}"] / record["flop_per_image"]
    limits["images_by_copy"] = limits["copy"] / record["bytes_per_image"]
    return limits
