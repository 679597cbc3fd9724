"""What the benchmarks count, and how they talk to their workers; their times are not tested."""

import importlib.util
import inspect
import io
import json
import os
import sys
import types

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks import __main__ as command
from benchmarks import comparisons, processors, training, workers
from utils.model.resnet import resnet_v2

TABLES = comparisons.comparisons(False, "float32") | {
    "on a GPU": comparisons.training(56, 512, 98, "mixed_bfloat16", parts=True)
}


def test_counted_bytes_by_hand():
    counted_bytes = pytest.importorskip("benchmarks.operations").counted_bytes
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)  # reads 192, writes 256
    y = layers.BatchNormalization()(x)  # reads 256 twice, writes 256
    y = layers.ReLU()(y)  # part of the kernel before
    x = layers.Add()([x, y])  # reads 256 twice, writes 256
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    once = 192 + 256 + 3 * 256 + 3 * 256
    assert counted_bytes(model) == 3 * 2 * once
    assert counted_bytes(model, itemsize=4) == 3 * 4 * once


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("Conv2D", "convolution, forward"),
        ("_FusedConv2D", "convolution, forward"),
        ("_MklNativeConv2DBackpropFilter", "convolution, gradient of the kernel"),
        ("Conv2DBackpropInput", "convolution, gradient of the input"),
        ("FusedBatchNormV3", "batch normalization, forward"),
        ("FusedBatchNormGradV3", "batch normalization, gradient"),
        ("ReluGrad", "ReLU, gradient"),
        ("AddN", "sums (residuals, gradients)"),
        ("ResourceApplyGradientDescent", "rest"),
    ],
)
def test_kinds_of_operations(operation, kind):
    assert pytest.importorskip("benchmarks.operations").kind_of(operation) == kind


@pytest.mark.parametrize("depth", [11, 56])
def test_plain_pytorch_has_the_parameters_of_ours(depth):
    pytest.importorskip("torch")
    from benchmarks.torch_resnet import ResNet

    network = ResNet(depth)
    values = [*network.parameters(), *network.buffers()]
    count = sum(value.numel() for value in values if value.ndim)  # without BatchNorm's counters
    assert count == resnet_v2(depth).count_params()


@pytest.mark.parametrize("name", TABLES)
def test_every_maker_takes_the_options_of_its_variants(name):
    for comparison in (TABLES[name], comparisons.rehearsal(TABLES[name])):
        for variant in comparison.variants.values():
            module, function = variant.maker.split(".")
            if module == "torch_resnet" and not importlib.util.find_spec("torch"):
                continue  # as the command leaves it out
            maker = getattr(importlib.import_module(f"benchmarks.{module}"), function)
            inspect.signature(maker).bind(None, **variant.options)
            count, batch_size = variant.options["count"], variant.options.get("batch_size", 1)
            assert count >= batch_size, variant


def test_variants_are_timed_often_enough_and_a_rehearsal_is_small():
    for comparison in TABLES.values():
        assert all(variant.passes >= 5 for variant in comparison.variants.values())
        for variant in comparisons.rehearsal(comparison).variants.values():
            assert variant.options["depth"] == 11 and variant.passes == 2


def test_rows_of_grad_cam_name_backend_mode_and_batch_size():
    names = {"tensorflow": "TensorFlow", "torch": "PyTorch"}
    for variant in TABLES["grad-cam"].variants.values():
        assert names[variant.backend] in variant.what
        assert ("compiled" in variant.what) != ("eager" in variant.what)
        assert variant.what.endswith(f"batches of {variant.options['batch_size']}")


class FakeWorker:
    """Takes a second a pass, as long as its maker is sound."""

    facts = {"images": 10, "device": "CPU", "versions": {"keras": "3"}}
    process = types.SimpleNamespace(poll=lambda: None)  # runs

    def __init__(self, maker, *_):
        self.maker = maker

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        if self.maker == "m.broken":
            raise RuntimeError("m.broken has ended\nand more")
        seconds = 1.0 if self.maker == "m.first" else 2.0
        return {"seconds": seconds, "peak_mb": 5, "others": 0.0}


def test_what_cannot_be_measured_is_left_out_and_said(monkeypatch, capsys):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    variants = {
        "first": comparisons.Variant("one", "m.first", {}, needs=("json",)),
        "missing": comparisons.Variant("another", "m.f", {}, needs=("no_such_package",)),
        "broken": comparisons.Variant("a third", "m.broken", {}),
        "slow": comparisons.Variant("a fourth", "m.slow", {}),
        "slower": comparisons.Variant("a fifth", "m.slower", {}, passes=6),
    }
    record = command.measure(comparisons.Comparison("title", variants))
    assert list(record["variants"]) == ["first", "slow", "slower"]
    assert record["left_out"] == {
        "missing": "another (no_such_package not installed)",
        "broken": "a third (m.broken has ended)",
    }
    assert "left out: another" in capsys.readouterr().out
    assert record["variants"]["first"]["seconds"] == [1.0] * 11
    assert record["variants"]["slower"]["reference_seconds"] == [1.0] * 6
    assert record["variants"]["slower"]["seconds"] == [2.0] * 6
    assert record["device"] == "CPU" and record["versions"] == {"keras": "3"}


def test_a_first_variant_that_ends_is_not_blamed_on_another(monkeypatch):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "process", types.SimpleNamespace(poll=lambda: 1))
    variants = {name: comparisons.Variant(name, f"m.{name}", {}) for name in ("first", "broken")}
    with pytest.raises(RuntimeError, match="has ended"):
        command.measure(comparisons.Comparison("title", variants))


def test_variants_that_are_measured_alone_have_no_reference(monkeypatch):
    monkeypatch.setattr(command, "Worker", FakeWorker)
    variants = {name: comparisons.Variant(name, f"m.{name}", {}) for name in ("first", "slow")}
    record = command.measure(comparisons.Comparison("title", variants, alone=True))
    assert [one["others"] for one in record["variants"].values()] == [[0.0] * 5] * 2
    assert [len(one["seconds"]) for one in record["variants"].values()] == [5, 5]
    assert not any("reference_seconds" in one for one in record["variants"].values())


# Answers as a worker does, and says what it was given.
FAKE_PYTHON = """#!/bin/sh
echo noise
echo trouble >&2
[ "$4" != '{"broken": 1}' ] || exit 1
echo "benchmark: [\\"$3 $5\\", \\"$ONE\\", \\"$KERAS_BACKEND\\"]"
read line && echo 'benchmark: {"seconds": 0.5}'
"""


@pytest.fixture
def fake_python(tmp_path, monkeypatch):
    path = tmp_path / "python"
    path.write_text(FAKE_PYTHON)
    path.chmod(0o755)
    monkeypatch.setattr(workers.sys, "executable", str(path))


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_worker_serves_until_it_ends(fake_python):
    worker = workers.Worker("m.f", {}, "jax", {"ONE": "1", "OTHER": None})
    assert worker.facts == ["m.f OTHER", "1", "jax"]
    assert worker.run() == {"seconds": 0.5}
    with pytest.raises(RuntimeError, match="m.f {} has ended"):
        worker.run()
    worker.close()
    with pytest.raises(RuntimeError, match="trouble"):
        workers.Worker("m.f", {"broken": 1})


class Counter:
    """Answers with the number of times that anyone of its kind was asked."""

    asked = 0

    def run(self):
        Counter.asked += 1
        return Counter.asked


def test_workers_take_turns():
    assert workers.in_turn([Counter(), Counter()], 3) == [[1, 3, 5], [2, 4, 6]]


class Warming:
    """Takes the seconds of a list, pass by pass; the last ones for ever."""

    def __init__(self, *seconds):
        self.seconds, self.passes = seconds, 0

    def run(self):
        self.passes += 1
        return {"seconds": self.seconds[min(self.passes, len(self.seconds)) - 1]}


@pytest.mark.parametrize(
    ("seconds", "passes"),
    [
        ([15, 6.6, 4.3, 3.8, 3.4, 3.3], 6),  # the last two differ by less than 5 %
        ([2.0], 2),
        ([1.0, 1.5], 2),
        ([0.9**turn for turn in range(20)], workers.MOST_WARM_UPS),
    ],
)
def test_passes_are_warm_before_they_count(seconds, passes):
    worker = Warming(*seconds)
    workers.warm_up(worker)
    assert worker.passes == passes


def test_variants_are_warmed_up_before_they_are_timed(monkeypatch):
    class ColdWorker(FakeWorker):
        def __init__(self, *_):
            self.warming = Warming(9.0, 5.0, 2.0, 2.0)

        def run(self):
            return self.warming.run() | {"peak_mb": 5, "others": 0.0}

    monkeypatch.setattr(command, "Worker", ColdWorker)
    variants = {name: comparisons.Variant(name, f"m.{name}", {}) for name in ("first", "slow")}
    for alone in (False, True):
        record = command.measure(comparisons.Comparison("title", variants, alone=alone))
        assert all(one["seconds"] == [2.0] * 5 for one in record["variants"].values())


def stat(path, **ticks):
    """Writes what Linux counts in /proc/stat, in hundredths of a second."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "last")
    path.write_text(f"cpu  {' '.join(str(ticks.get(name, 0)) for name in names)}\ncpu0 7 7 7\n")


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Linux counts so")
def test_busy_time_is_all_but_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    stat(
        tmp_path / "stat", user=100, nice=200, system=30, idle=5000, iowait=6000, steal=70, guest=9
    )
    assert processors.busy_seconds(tmp_path / "stat") == 4.0
    assert processors.busy_seconds(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("busy", "own", "share"),
    [
        (30.0, 20.0, 0.5),  # 10 of the 20 s that two processors have in 10 s
        (20.0, 20.0, 0.0),
        (19.9, 20.0, 0.0),  # ticks are coarse
        (None, 20.0, None),
    ],
)
def test_others_take_what_is_busy_and_not_our_own(monkeypatch, busy, own, share):
    clock = {"time": 5.0, "busy": 100.0 if busy is not None else None, "own": 3.0}
    monkeypatch.setattr(processors.time, "perf_counter", lambda: clock["time"])
    monkeypatch.setattr(processors, "busy_seconds", lambda: clock["busy"])
    monkeypatch.setattr(processors, "own_seconds", lambda: clock["own"])
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    others = processors.Others()
    clock.update(time=15.0, busy=busy and 100.0 + busy, own=3.0 + own)
    assert others.share() == share


@pytest.mark.skipif(not processors.STAT.is_file(), reason="Linux counts so")
def test_our_own_work_is_not_that_of_others():
    busy, own = processors.busy_seconds(), processors.own_seconds()
    while processors.own_seconds() < own + 0.2:
        pass
    assert processors.busy_seconds() - busy > 0.1  # is the same clock, in the same unit


@pytest.mark.parametrize(
    ("others", "load", "words"),
    [
        (0.01, 9.0, ""),  # the load is that of a minute ago
        (0.5, 0.0, "other processes take 50 % of the processors"),
        (None, 0.1, ""),
        (None, 3.0, "load average 3.0"),
        (None, float("nan"), ""),
    ],
)
def test_a_busy_machine_is_found_before_the_first_benchmark(monkeypatch, others, load, words):
    monkeypatch.setattr(command, "idle_share", lambda: others)
    monkeypatch.setattr(command, "load_average", lambda: load)
    assert command.busy_now() == words


def test_the_command_fails_when_others_ran_during_a_benchmark(monkeypatch, tmp_path, capsys):
    class Machine(FakeWorker):
        facts = {"device": "CPU", "on_gpu": False, "precision": "float32"}

    record = {"variants": {"ours": {"others": [0.0, 0.2, 0.2]}, "other": {"others": [0.2, 0, 0]}}}
    monkeypatch.setattr(command, "Worker", Machine)
    monkeypatch.setattr(command, "measure", lambda comparison: record)
    monkeypatch.setattr(command, "idle_share", lambda: 0.0)
    assert command.main(["prediction", "--output", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "measure these again" in printed and "prediction: ours (20 %)" in printed
    assert "other" not in printed.split("again:")[1]
    record["variants"].pop("ours")
    assert command.main(["prediction", "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "prediction.json").read_text())["variants"] == record["variants"]


def test_a_process_leaves_unset_what_it_is_told_to(monkeypatch):
    monkeypatch.setenv("TO_BE_LEFT", "set by us")
    seen = {}
    toy = types.SimpleNamespace(make=lambda clock, **options: seen.update(options, **os.environ))
    monkeypatch.setitem(sys.modules, "benchmarks.toy", toy)
    workers.main(["toy.make", '{"size": 3}', "TO_BE_LEFT"])
    assert seen["size"] == 3 and "TO_BE_LEFT" not in seen


def answers(capsys, monkeypatch, maker, requests, **options):
    """What a maker tells when it is asked for some passes, in this process."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\n" * requests))
    with pytest.raises(SystemExit):
        maker(workers.Clock(0.0, 1.0), **options)
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line.removeprefix(workers.RESULT)) for line in lines]


def test_a_clock_times_what_it_repeats(capsys, monkeypatch):
    calls = []

    def maker(clock):
        clock.describe(7, "float32", ["pytest"])
        clock.repeat(lambda: calls.append(1))

    facts, *passes = answers(capsys, monkeypatch, maker, 3)
    assert facts["images"] == 7 and facts["precision"] == "float32"
    assert facts["import_seconds"] == 1.0 and facts["device"]
    assert facts["versions"]["pytest"] == pytest.__version__ and "keras" in facts["versions"]
    linux = processors.STAT.is_file()
    assert all(0 <= one["others"] <= 1 if linux else one["others"] is None for one in passes)
    assert len(calls) == 4 and len(passes) == 3  # the first pass compiles
    assert all(one["seconds"] >= 0 for one in passes)


def test_our_training_is_timed_epoch_by_epoch(capsys, monkeypatch):
    options = {"depth": 11, "batch_size": 4, "count": 8, "precision": "float32"}
    facts, *passes = answers(capsys, monkeypatch, training.ours, 2, **options)
    assert facts["images"] == 8 and len(passes) == 2
    assert all(one["seconds"] > 0 for one in passes)


def test_steps_of_the_range_test_are_timed_between_batches(capsys, monkeypatch):
    def range_test(model, source, *, start_lr, end_lr, num_steps):
        batches = iter(source)
        asked = [next(batches) and source.asked[-1] for _ in range(num_steps)]
        source.asked[:] = [0.5 * step for step in range(num_steps)]
        assert num_steps == 11 and len(asked) == 11

    monkeypatch.setattr(training, "range_test", range_test)
    monkeypatch.setattr(training, "recipe_model", lambda clock, *_: clock.describe(0, "float32"))
    facts, one = answers(
        capsys, monkeypatch, training.lr_range_test, 1, depth=11, batch_size=4, count=36
    )
    assert facts["images"] == 36 and one["seconds"] == 9 * 0.5


def test_the_generator_of_2019_augments_each_image():
    images, labels = training.random_images(40)
    batch, chosen = next(training.augmented_on_host(images, labels, 16))
    assert batch.shape == (16, 32, 32, 3) and batch.dtype == np.float32 and len(chosen) == 16
    assert sum(any((one == image).all() for image in images) for one in batch) <= 4


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["speed"])
    assert (
        "no benchmark is called 'speed'; there are training-resnet20v2" in capsys.readouterr().err
    )
