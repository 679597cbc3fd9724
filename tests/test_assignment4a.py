"""Recomputes every number of the worksheet; see checked_numbers.py for how they are marked."""

import contextlib
import io
import math
import os
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from checked_numbers import mistakes, mutants
from lesson import exercises

from utils.commands.worksheet import BIAS, MAPS, WEIGHTS, question_12
from utils.data.shapes import make_shapes
from utils.explain import perturbation
from utils.explain.grad_cam import default_layer, grad_cam
from utils.explain.pointing import pointing_table
from utils.model.resnet import format_stage_table, resnet_v2, stage_table
from utils.records.intervals import wilson_interval
from utils.records.read import read_record
from utils.records.weights import shipped_record
from utils.settings import RECIPES, load_settings
from utils.training.epoch_log import read_history
from utils.training.evaluation import predict_probabilities
from utils.training.lr_curve import RangeTestResult
from utils.training.recipe_model import compile_model
from utils.training.recipe_schedule import schedule_values
from utils.training.schedule import (
    one_cycle,
    one_cycle_momentum,
    seed_triangle,
    seed_triangle_proposal,
)

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Assignment4A.md").read_text(encoding="utf-8")
EXERCISES = exercises()


def power_of_ten(value):
    """The three numbers of m x 10^e."""
    exponent = math.floor(math.log10(value))
    return [value / 10**exponent, 10, exponent]


def network_numbers():
    model = resnet_v2(56)
    stem, stage1, stage2, stage3, head = stages = stage_table(model)
    layers = {layer.name: layer for layer in model.layers}
    side, _, channels = model.input.shape[1:]
    blocks, fields = stage1.bottlenecks, [stage.receptive_field for stage in stages]
    jumps = [side // stage.output_shape[0] for stage in (stem, stage1, stage2, stage3)]
    widths = np.diff(fields[:4])
    rows = [3, 3, jumps[0], fields[0] - 1, fields[0]]
    for number, (jump, width, field) in enumerate(
        zip(jumps[1:], widths, fields[1:], strict=False), start=1
    ):
        rows += [number, jump, blocks, 2 * jump, width, field]

    def counts(prefix):
        return {
            name.removeprefix(prefix): layer.count_params()
            for name, layer in layers.items()
            if name.startswith(prefix)
        }

    prefix = "stage1_block2_"
    count, first = counts(prefix), counts("stage1_block1_")
    first_names = ("1_conv", "2_bn", "2_conv", "3_bn", "3_conv")  # no 1_bn
    assert {name for name in first if first[name]} == {*first_names, "shortcut_conv"}
    stem_conv = layers["stem_conv"]
    assert stage1.parameters == sum(first.values()) + (blocks - 1) * sum(count.values())
    inner = layers[prefix + "2_conv"].filters
    outer = layers[prefix + "3_conv"].filters
    trained = sum(
        math.prod(weight.shape)
        for name, layer in layers.items()
        if name.startswith(prefix)
        for weight in layer.trainable_weights
    )
    total = model.count_params()
    top, classes = head_channels = (stage3.output_shape[-1], head.output_shape[-1])

    inside = {one: layers[f"{one}_block2_2_conv"].filters for one in ("stage2", "stage3")}
    outside = {one: layers[f"{one}_block2_3_conv"].filters for one in inside}
    stage_blocks = {
        one: [sum(counts(f"{one}_block{n}_").values()) for n in (1, 2)] for one in inside
    }
    for stage, (changing, like) in zip((stage2, stage3), stage_blocks.values()):
        assert stage.parameters == changing + (blocks - 1) * like

    conv = layers["stage2_block2_2_conv"]
    height, width, filters = conv.output.shape[1:]
    cost = height * width * math.prod(conv.kernel.shape)
    twin = layers["stage3_block2_2_conv"]
    assert cost == math.prod(twin.output.shape[1:3]) * math.prod(twin.kernel.shape)
    whole = sum(stage.multiply_adds for stage in stages)
    return {
        "receptive_field_question": [1, 3, 3, 3, blocks, 1, 1, 3, 3, 1, 1, 1, 1, 2],
        "receptive_field": rows,
        "receptive_field_comment": [1, 1, 2, 1, fields[1], 2, fields[2], side],
        "bottleneck_question": [1, outer, inner, outer, 4],
        "bottleneck": [
            *(outer, 4, outer, count["1_bn"]),
            *(1, 1, outer, inner, outer, inner, inner, count["1_conv"]),
            *(inner, 4, inner, count["2_bn"]),
            *(3, 3, inner, inner, 9, inner, inner, inner, count["2_conv"]),
            *(inner, 4, inner, count["3_bn"]),
            *(1, 1, inner, outer, inner, outer, outer, count["3_conv"]),
            sum(count.values()),
        ],
        "bottleneck_trained": [
            *(2, outer, inner, inner),
            *(sum(count.values()) - trained, trained),
        ],
        "parameters": [
            stem.parameters,
            *(1, stage1.parameters, 2, stage2.parameters, 3, stage3.parameters),
            *(4, top, *head_channels, classes, head.parameters),
            total,
        ],
        "parameters_question": [
            *(1, 1, 1, 3, 3, *stem_conv.kernel.shape[2:], 2, inside["stage2"], outside["stage2"]),
            *(3, inside["stage3"], outside["stage3"], 1),
        ],
        "parameters_first_block": [
            *(1, stem_conv.filters, inner, inner),
            *(first[name] for name in first_names),
            *(stem_conv.filters, outer, outer, first["shortcut_conv"], sum(first.values())),
            *(blocks - 1, sum(count.values()), 1, stage1.parameters),
            *(2, *stage_blocks["stage2"], blocks - 1, 3, *stage_blocks["stage3"]),
        ],
        "parameters_comment": [3, 100 * stage3.parameters / total],
        "multiply_adds_question": [3, 3, 2, conv.kernel.shape[2], filters, height, width, whole],
        "multiply_adds": [
            *(height, width, 9, filters, filters, cost, 100 * cost / whole),
            *(3, 1, 4, 4),
        ],
        "geometry": [side, side, channels, 50000, 512, 50],
    }


def schedule_numbers():
    steps = math.ceil(50000 / 512)
    total = 50 * steps
    sweep = np.geomspace(1e-4, 10, 100)
    factor = sweep[1] / sweep[0]
    losses = np.array([2.4, 2.3, 2.0])
    means = [sum(0.02 * 0.98 ** (n - i) * losses[i] for i in range(n + 1)) for n in range(3)]
    correction = 1 - 0.98**3
    max_lr = RECIPES["one-cycle"].max_lr
    first, last = (one_cycle(step, total, max_lr) for step in (0, total - 1))
    peak = round(0.3 * total - 1)
    assert one_cycle(peak, total, max_lr) == max_lr
    u = (3000 - peak) / (total - 1 - peak)
    linear, cos = (one_cycle(3000, total, max_lr, anneal=kind) for kind in ("linear", "cos"))
    submission = read_record(ROOT / "runs" / "2019-submission")
    log = {row["epoch"]: row for row in submission.history}
    tail = [epoch for epoch in range(1, 51) if epoch > 24 and seed_triangle(epoch - 1) == 0.05]
    assert log[11]["learning_rate_first"] == seed_triangle(10)
    assert all(log[epoch]["learning_rate_first"] == 0.05 for epoch in tail)
    x = abs(10 * 100 / 2300 - 2 + 1)
    momenta = [one_cycle_momentum(step, total) for step in (0, peak)]
    recipe = submission.run["recipe"]
    smoothed = np.average(losses, weights=0.98 ** np.arange(3)[::-1])
    return {
        "steps": [50000, 512, 50000 / 512, steps, 50, steps, 50, total, 100],
        "range_question": [sweep[0], sweep[-1], len(sweep), 50, 0],
        "range": [100, 99, 10, 0.0001, 1, 99, factor, 50, 0.0001, factor, 50, sweep[50]],
        "smoothing_question": [0.98, 0.02, 0, *losses, 1, 0.98],
        "smoothing": [
            *(*means, 0, 1, 0.98, 3, correction),
            *(means[2], correction, smoothed, 0.98, 2, 0.98, 1),
        ],
        "one_cycle_question": [total, max_lr, 25, 0.3, 1, 1, first / last, 1, 2, 0, 1, 3000],
        "one_cycle": [
            *(max_lr, 25, first, 0.3, total, 1, peak, max_lr, total - 1),
            *(first, first / last, *power_of_ten(last)),
        ],
        "one_cycle_step": [
            *(3000, 3000, peak, total - 1, peak, u),
            *(max_lr, 1, u, linear, max_lr, 2, 1, u, cos),
        ],
        "triangle_question": [0, 0.05, 0.95, 0, 1, 100, 2300, 2, 1, 1, 100, 4600, 10, 47],
        "triangle": [10, 1, 1 - x, 2, 1, x, 0.05, 0.95, 1 - x, seed_triangle(10), 1, 11],
        "triangle_end": [
            *(47, math.floor(1 + 47 * 100 / 4600), seed_triangle_proposal(47)),
            *(log[48]["learning_rate_first"], len(tail), tail[0], tail[-1], seed_triangle(49)),
        ],
        "momentum_question": [
            *(1, 2, 1, 1, recipe["max_lr"], recipe["max_momentum"]),
            *(max_lr, momenta[0], momenta[1], 0.95),
        ],
        "momentum": [
            *(recipe["max_lr"], 1 - recipe["max_momentum"], 1 / (1 - recipe["max_momentum"])),
            *(first, 1 - momenta[0], first / (1 - momenta[0])),
            *(max_lr, 1 - momenta[1], max_lr / (1 - momenta[1])),
            *(0.95, max_lr, 1 - 0.95, max_lr / (1 - 0.95), (1 - momenta[1]) / (1 - 0.95)),
        ],
        "batch_norm_question": [0.99, 99, steps, 0.9],
        "batch_norm": [
            *(0.99, steps, 0.99**steps, 25, log[25]["accuracy"], log[25]["val_accuracy"]),
            *(0.9, 0.9, steps, *power_of_ten(0.9**steps)),
        ],
    }


def grad_cam_numbers():
    first, second = MAPS[..., 0], MAPS[..., 1]
    weights, bias = WEIGHTS, BIAS
    model = question_12()
    alpha = weights / first.size
    raw = alpha[0] * first + alpha[1] * second
    plain = grad_cam(model, MAPS[None], 0, "maps", size=None, normalize=False)[0]
    normal = grad_cam(model, MAPS[None], 0, "maps", size=None)[0]
    np.testing.assert_allclose(plain, np.maximum(raw, 0), atol=1e-6)
    logit = float(model.predict(MAPS[None], verbose=0)[0, 0])
    assert raw.sum() + bias == pytest.approx(logit)
    return {
        "grad_cam_question": [2, 2, weights[0], weights[1], bias],
        "grad_cam_given": [*first.ravel(), *second.ravel()],
        "grad_cam_weights": [4, 1, 4, weights[0], 4, weights[1], 4, *alpha],
        "grad_cam_maps": [*raw.ravel(), *plain.ravel(), *normal.ravel()],
        "grad_cam_completeness": [raw.sum(), bias, logit],
    }


def softmax_numbers():
    def probability_and_slopes(logits):
        p = keras.ops.convert_to_numpy(keras.ops.softmax(np.array(logits, "float32")))
        return p[0], p[0] * (np.eye(3)[0] - p)

    p, slopes = probability_and_slopes([4, 1, 0])
    sure, faded = probability_and_slopes([12, 1, 0])
    assert slopes.sum() == pytest.approx(0, abs=1e-7)
    return {
        "softmax_question": [4, 1, 0, 12],
        "softmax": [p, 1, *slopes, 0, 12, sure, 1, *power_of_ten(faded[0])],
    }


def output_of(number, **scope):
    """What the code of an exercise prints, run with the objects that its section has."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(EXERCISES[number][1], {"np": np, **scope})
    return printed.getvalue()


def printed_by(number, **scope):
    """The numbers that the code of an exercise prints."""
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", output_of(number, **scope))]


def exercise_numbers():
    recipe, steps = RECIPES["one-cycle"], math.ceil(50000 / 512)
    (rounded,) = printed_by(1)
    (all_steps,) = printed_by(2)
    (share,) = printed_by(3, data=SimpleNamespace(y_test=np.repeat(np.arange(10), 1000)))
    (versions,) = printed_by(4, recipe=recipe)
    tables = {"resnet_v2": resnet_v2, "stage_table": stage_table}
    table = output_of(5, format_stage_table=format_stage_table, **tables)
    field = int(re.search("^stage 3 .* (\\d+)$", table, re.MULTILINE)[1])
    stem, _, _, last, _ = stage_table(resnet_v2(11))
    assert last.receptive_field == field
    rate, _ = schedule_values(recipe, 50000)
    peak = int(rate.argmax())
    (there,) = printed_by(7, full_rate=rate)
    _, small, epoch, fall = printed_by(8, read_history=lambda path: read_history(ROOT / path))
    log = {row["epoch"]: row for row in read_history(ROOT / "runs/2019-submission/history.csv")}
    before, after = log[epoch - 1], log[epoch]
    assert after["val_accuracy"] - before["val_accuracy"] == pytest.approx(-fall)
    widths = printed_by(9, wilson_interval=wilson_interval)
    masks = make_shapes(20, seed=0)[2]
    constant = output_of(11, pointing_table=pointing_table, masks=masks).splitlines()[1]
    on_object, in_hull, heat = re.findall(r"[\d.]+", constant)
    assert on_object == in_hull
    (megabytes,) = printed_by(13, resnet_v2=resnet_v2)
    batches = divmod(50000, recipe.batch_size)
    return {
        "exercise_1_question": [24, 8, 1, 1, 512],
        "exercise_1": [rounded, 8, 1, 1, 2, -7, 1 + 2**-7, 1, 512],
        "exercise_2_question": [512, 50000],
        "exercise_2": [
            *(batches[0], recipe.batch_size, batches[0] * recipe.batch_size, batches[1]),
            *(recipe.batch_size - batches[1], steps, recipe.epochs, all_steps, all_steps),
        ],
        "exercise_3": [1000, 10, share, share, 0],
        "exercise_4_question": [recipe.shift],
        "exercise_4": [
            *(2 * recipe.shift + 1, -recipe.shift, recipe.shift, 9, 9, 81, versions, 50, 50),
            *(versions, 1, 1, 1, versions, 50, versions * (1 - (1 - 1 / versions) ** 50)),
        ],
        "exercise_5_question": [11, 3],
        "exercise_5": [
            *(field, stem.receptive_field, 2, 1, 2, 4),
            *(stem.receptive_field, 2, 1, 2, 4, field, 32),
        ],
        "exercise_6_question": [10],
        "exercise_7_question": [1000, 0, round(0.3 * 50 * steps - 1)],
        "exercise_7": [
            *(1000, peak, 1000 / peak),
            *(recipe.max_lr, rate[0], recipe.max_lr, 2, 1, 1000 / peak, there),
        ],
        "exercise_8_question": [read_record(ROOT / "runs/2019-submission").run["recipe"]["max_lr"]],
        "exercise_8": [
            *(fall, epoch, before["val_accuracy"], after["val_accuracy"]),
            *(before["accuracy"], after["accuracy"], small, 11),
        ],
        "exercise_9_question": [9000, 10000, 900, 1000, 90, 95],
        "exercise_9": [*widths, widths[1] / widths[0], 10, math.sqrt(10)],
        "exercise_10": [8],
        "exercise_11_question": [1],
        "exercise_11": [on_object, heat],
        "exercise_12_question": [5],
        "exercise_12": [*printed_by(12, **photo_scope()), 5, 5, 5],
        "exercise_13_question": [4],
        "exercise_13": [resnet_v2(56).count_params(), 4, megabytes, 8],
    }


def photo_scope():
    network = resnet_v2(11)
    return {"network": network, "small": make_shapes(1, seed=0)[0][0]}


@pytest.fixture(scope="module")
def expected():
    return (
        network_numbers()
        | schedule_numbers()
        | grad_cam_numbers()
        | softmax_numbers()
        | exercise_numbers()
    )


def test_every_number_is_right(expected):
    assert mistakes(TEXT, expected) == []


def test_every_changed_digit_is_noticed(expected):
    changed = list(mutants(TEXT))
    assert len(changed) > 300
    for text in changed:
        assert mistakes(text, expected), (
            f"not noticed:\n{os.path.commonprefix([text, TEXT])[-200:]}"
        )


def test_a_number_without_check_is_noticed(expected):
    assert mistakes(TEXT + "\n\nThe answer is 42.\n", expected)


def test_a_check_that_is_not_used_is_noticed(expected):
    assert mistakes(TEXT, expected | {"forgotten": [1]}) == ["the check forgotten is not used"]


def test_says_that_4a_was_submitted_online():
    assert TEXT.startswith("# Assignment 4A\n\nSubmitted on Online Tool.\n")


def test_answers_are_folded():
    questions = TEXT.count("\n## ")
    assert questions == TEXT.count("<details>") == TEXT.count("</details>") >= 10


def test_exercises_are_those_of_the_notebook():
    part = TEXT.partition("\n# Exercises of the notebook\n")[2]
    found = re.findall(
        r"^## Exercise (\d+)\. .+?\n(.*?)```python\n(.*?)\n```\n\n<details>",
        part,
        flags=re.MULTILINE | re.DOTALL,
    )
    shown = {
        int(number): (" ".join(re.sub("<!--.*-->", "", text).split()), code)
        for number, text, code in found
    }
    assert shown == EXERCISES


@pytest.mark.parametrize("curve", sorted(ROOT.glob("runs/**/range_test.csv")), ids=str)
def test_exercise_6_a_constant_changes_no_suggestion(curve):
    sweep = RangeTestResult.load_csv(curve)
    raised, plain = output_of(6, sweep=sweep, suggestions=sweep.suggest()).splitlines()
    assert raised == plain
    moved = RangeTestResult(sweep.lr, sweep.loss + 10, sweep.smoothed + 10, sweep.num_steps, "")
    assert moved.peak().lr == sweep.peak().lr


@pytest.mark.parametrize("dtype, rounding", [("float32", 1e-6), ("mixed_bfloat16", 1e-2)])
def test_exercise_10_the_contrast_is_a_difference_before_the_relu_only(dtype, rounding):
    network, image = resnet_v2(11, dtype=dtype), make_shapes(1, seed=0)[0][0]
    shown = output_of(10, network=network, image=image, grad_cam=grad_cam)
    gap, largest = map(float, re.fullmatch(r"(\S+) beside values of up to (\S+)\n", shown).groups())
    assert gap < rounding * largest
    heat = [grad_cam(network, image[None], **ask) for ask in ({"targets": 0}, {"targets": 1})]
    contrast = grad_cam(network, image[None], 0, contrast=1)
    assert np.abs(contrast - (heat[0] - heat[1])).max() > 0.1


def test_exercise_13_what_the_files_hold():
    shipped = shipped_record(ROOT / "runs").run
    assert 0.9 < shipped["weights"]["bytes"] / (4 * shipped["parameters"]) < 1
    recipe = RECIPES["one-cycle"]
    model = compile_model(resnet_v2(11), recipe, 50000)
    model.optimizer.build(model.trainable_variables)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    kept = sum(math.prod(one.shape) for one in model.optimizer.variables)
    assert 0 <= kept - trained <= 2 and trained > 0.9 * model.count_params()


def tasks():
    """The code of the tasks for a report."""
    part = TEXT.partition("\n# Tasks for a report\n")[2]
    return re.findall(r"```python\n(.*?)```", part, re.DOTALL)


def test_the_task_of_the_peak_may_run_twice(monkeypatch):
    monkeypatch.setenv("ASSIGNMENT_OUTPUT", "build")
    scope = {"os": os, "settings": load_settings("quick", environ={})}
    exec(tasks()[0], scope)
    exec(tasks()[0], scope)
    assert scope["recipe"].max_lr == 10 * scope["settings"].recipe.max_lr
    assert os.environ["ASSIGNMENT_OUTPUT"] != "build"


def test_the_task_of_the_layer_compares_two_layers(capsys):
    network, images = resnet_v2(11), make_shapes(6, seed=0)[0]
    scope = {"network": network, "layer": default_layer(network), "grad_cam": grad_cam}
    probabilities = partial(predict_probabilities, network)
    targets = probabilities(images).argmax(axis=1)
    exec(tasks()[1], {**scope, **locals(), "perturbation": perturbation})
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("insertion", "last_relu", "stage3_block1_add"))
