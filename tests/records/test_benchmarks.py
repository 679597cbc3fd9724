"""Records of benchmarks: what is read from them, what is refused, how README shows them."""

import copy
import json

import pytest

from benchmarks.comparisons import comparisons
from utils.records import benchmarks, idle


def variant(what, seconds, images=100):
    return {
        "what": what,
        "precision": "float32",
        "images": images,
        "seconds": seconds,
        "import_seconds": 4.0,
        "first_pass_seconds": 12.0,
        "peak_mb": 1234,
    }


def comparison():
    return {
        "title": "Training step",
        "quick": False,
        "started": "2026-11-25T20:45:00+00:00",
        "git_commit": "0123456789abcdef",
        "load_average": 0.04,
        "device": "CPU (Some, 2 cores)",
        "versions": {"keras": "3.15.0", "tensorflow": "2.21.0"},
        "left_out": {"torch": "plain PyTorch (torch not installed)"},
        "variants": {
            "ours": variant("ours", [2.0, 2.0, 2.0, 4.0, 2.0, 2.0]),
            "other": variant("another", [2.0, 4.0, 4.0, 4.0, 4.0], images=50)
            | {"reference_seconds": [2.0, 2.0, 2.0, 4.0, 2.0]},
        },
    }


def operations():
    record = comparison()
    del record["variants"]
    return record | {
        "title": "Where the time goes",
        "images": 128,
        "precision": "mixed_bfloat16",
        "kinds": ["convolution, forward", "rest"],
        "seconds": {
            "step": [0.5] * 5,
            "convolution, forward": [0.3] * 5,
            "rest": [0.1] * 5,
            "matmul_bfloat16": [0.1] * 5,
            "matmul_float32": [0.4] * 5,
            "copy": [0.2] * 5,
        },
        "work": {"matmul_bfloat16": 2e11, "matmul_float32": 2e11, "copy": 5e9},
        "flop_per_image": 1e9,
        "bytes_per_image": 5e7,
    }


def write(folder, **records):
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record))
    return folder


def test_numbers_by_hand():
    record = comparison()
    ours = record["variants"]["ours"]
    assert benchmarks.rates(ours)[:4] == [50, 50, 50, 25]
    # Turn by turn: 50/25, 50/12.5, 50/12.5, 25/12.5, 50/12.5.
    assert benchmarks.speedups(record, "other") == [2, 4, 4, 2, 4]
    assert benchmarks.build_seconds(ours) == 10
    assert benchmarks.spread([3, 1, 2], 1) == "2.0 (1.0 to 3.0)"
    limits = benchmarks.machine_limits(operations())
    assert limits["matmul_bfloat16"] == 2e12 and limits["matmul_float32"] == 5e11
    assert limits["images_by_matmul"] == 2000 and limits["images_by_copy"] == 500
    single = operations() | {"precision": "float32"}
    assert benchmarks.machine_limits(single)["images_by_matmul"] == 500


def test_shows_every_variant_the_machine_and_what_is_missing(tmp_path):
    text = benchmarks.performance_block(write(tmp_path, training=comparison()))
    assert "### Training step" in text
    assert "| ours | float32 | 50.0 (25.0 to 50.0) | 2.00 | 4.0 + 10.0 | 1,234 | – |" in text
    rate, ratio = "12.5 (12.5 to 25.0)", "4.00 (2.00 to 4.00)"
    row = f"| another | float32 | {rate} | 1.00 | 4.0 + 8.0 | 1,234 | {ratio} |"
    assert row in text.splitlines()
    for part in ("CPU (Some, 2 cores)", "tensorflow 2.21.0", "`0123456`", "2026-11-25", "0.0."):
        assert part in text
    assert "Left out: plain PyTorch (torch not installed)." in text


def test_says_what_other_processes_used_where_it_was_counted(tmp_path):
    record = comparison()
    ours, other = record["variants"].values()
    ours["others"], other["others"] = [0.0, 0.0, 0.0, 0.312, 0.01, 0.01], [0.02] * 5
    text = benchmarks.performance_block(write(tmp_path, training=record))
    words = "other processes used at most 31.2 % of the processors, 2.0 % in the median pass."
    assert words in text and "load before" not in text and "not idle" not in text
    ours["others"] = [idle.IDLE + 0.01] * 6
    text = benchmarks.performance_block(write(tmp_path, training=record))
    assert "**The machine was not idle**, other processes ran during ours (6 %)." in text
    records = {"training": comparison(), "operations": operations()}  # of before it was counted
    text = benchmarks.performance_block(write(tmp_path, **records))
    assert text.count("load before the first benchmark 0.0.") == 2
    records["operations"]["others"] = [0.3, 0.4, 0.5]
    text = benchmarks.performance_block(write(tmp_path, **records))
    assert "at most 50.0 % of the processors" in text and "during profile (40 %)" in text


def test_on_another_system_than_linux_nobody_counts(tmp_path):
    record = comparison()
    record["variants"]["ours"]["others"] = [None] * 6
    assert idle.others(record) == {} and idle.disturbed(record) == []
    assert "load before" in benchmarks.performance_block(write(tmp_path, training=record))


def test_shows_the_profile_and_the_limits(tmp_path):
    text = benchmarks.performance_block(write(tmp_path, operations=operations()))
    assert "| convolution, forward | 300.0 (300.0 to 300.0) | 75 % |" in text
    assert "500 ms" in text and "256 images a second" in text
    assert "2.00 TFLOP/s in bfloat16 and 0.50 in float32" in text and "25 GB/s" in text
    assert "at most 2000 images a second by arithmetic, 500 by memory" in text


def test_growth_has_a_figure_and_no_ratios(tmp_path):
    record = comparison() | {"left_out": {}}
    del record["variants"]["other"]["reference_seconds"]
    text = benchmarks.performance_block(write(tmp_path, growth=record), "it grows")
    assert "![it grows](benchmarks/scaling.png)" in text and "Left out" not in text
    assert "](" not in benchmarks.performance_block(tmp_path)
    assert "| another | float32 | 12.5 (12.5 to 25.0) | 1.00 | 4.0 + 8.0 | 1,234 | – |" in text


def test_the_summary_has_medians_and_leaves_out_what_was_left_out(tmp_path):
    record = comparison()
    record["variants"] = {"ours": record["variants"]["ours"]} | {
        "torch-eager": record["variants"]["other"],
        "in-memory": record["variants"]["other"],
    }
    write(tmp_path, **{"training-resnet56v2": record, "growth": comparison()})
    assert benchmarks.performance_summary(tmp_path).splitlines() == [
        "| what | images a second | ours is ... times as fast |",
        "| --- | ---: | ---: |",
        "| **Training step** | | |",
        "| ours; float32 | 50 |  |",
        "| another; float32 | 12 | 4.00 (2.00 to 4.00) |",
        "",
        "Medians, with the least and the largest factor of the passes in brackets. Where two "
        "precisions differ, that is part of the factor. CPU (Some, 2 cores).",
    ]
    assert "make bench" in benchmarks.performance_summary(tmp_path / "missing")


def test_the_summary_shows_keras_in_the_precision_of_ours_beside_its_defaults(tmp_path):
    record = comparison()
    ours, other = record["variants"].values()
    ours["precision"], ours["others"] = "mixed_bfloat16", [0.004] * 6
    record["variants"] = {"ours": ours} | {
        "keras-defaults": other | {"what": "defaults"},
        "keras-mixed": other | {"what": "mixed", "precision": "mixed_bfloat16"},
    }
    text = benchmarks.performance_summary(write(tmp_path, **{"training-resnet56v2": record}))
    factor = "12 | 4.00 (2.00 to 4.00) |"
    rows = text.splitlines()[3:6]
    assert rows == [
        "| ours; mixed_bfloat16 | 50 |  |",
        f"| mixed; mixed_bfloat16 | {factor}",
        f"| defaults; float32 | {factor}",
    ]
    idle_words = "other processes used at most 0.4 % of the processors, 0.4 % in the median pass."
    assert text.endswith(f"CPU (Some, 2 cores); {idle_words}")


def test_every_row_of_the_summary_is_measured():
    tables = comparisons(False, "mixed_bfloat16")
    for name, keys in benchmarks.SUMMARY.items():
        assert set(keys) <= set(tables[name].variants)


def test_training_comes_first_and_unknown_names_last(tmp_path):
    names = ("grad-cam", "growth", "prediction", "a-new-one", "training-resnet20v2")
    write(tmp_path, **dict.fromkeys(names, comparison()))
    expected = ["training-resnet20v2", "growth", "prediction", "a-new-one", "grad-cam"]
    assert list(benchmarks.read_benchmarks(tmp_path)) == expected


def test_without_records_it_says_what_makes_them(tmp_path):
    assert "make bench" in benchmarks.performance_block(tmp_path / "missing")


def damaged(change):
    record = copy.deepcopy(comparison())
    change(record)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(quick=True), "is a rehearsal"),
        (lambda r: r.update(git_commit=""), "does not say"),
        (lambda r: r.pop("device"), "lacks a part.*device"),
        (lambda r: r.update(variants={}), "holds no times"),
        (lambda r: r["variants"]["other"]["seconds"].pop(), "other has 4 passes, 5 are needed"),
        (lambda r: r["variants"]["other"]["seconds"].append(0), "must be above zero"),
        (lambda r: r["variants"]["other"].update(seconds="12345"), "wrong one"),
        (
            lambda r: r["variants"]["other"].update(others=[0.1, 1.5]),
            "others of other must be 0 to",
        ),
    ],
)
def test_unsound_records_are_refused(tmp_path, change, message):
    write(tmp_path, training=damaged(change))
    with pytest.raises(ValueError, match=message) as error:
        benchmarks.performance_block(tmp_path)
    assert "training.json" in str(error.value) and "make bench" in str(error.value)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    (tmp_path / "training.json").write_text('{"title": ')
    with pytest.raises(ValueError, match="training.json is not valid JSON"):
        benchmarks.read_benchmarks(tmp_path)
