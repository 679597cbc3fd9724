"""Recomputes every number of the worksheet; see checked_numbers.py for how they are marked."""

import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from checked_numbers import mistakes, mutants

from utils.explain.grad_cam import grad_cam
from utils.model.resnet import resnet_v2, stage_table
from utils.records.read import read_record
from utils.settings import RECIPES
from utils.training.schedule import (
    one_cycle,
    one_cycle_momentum,
    seed_triangle,
    seed_triangle_proposal,
)

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Assignment4A.md").read_text(encoding="utf-8")


def power_of_ten(value):
    """The three numbers of m x 10^e."""
    exponent = math.floor(math.log10(value))
    return [value / 10**exponent, 10, exponent]


def network_numbers():
    model = resnet_v2(56)
    stem, stage1, stage2, stage3, head = stages = stage_table(model)
    layers = {layer.name: layer for layer in model.layers}
    side, _, channels = model.input.shape[1:]
    blocks, fields = stage1.blocks, [stage.receptive_field for stage in stages]
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
        "parameters_question": [1, 1, 1, 3, 3, *stem_conv.kernel.shape[2:], 1],
        "parameters_first_block": [
            *(1, stem_conv.filters, inner, inner),
            *(first[name] for name in first_names),
            *(stem_conv.filters, outer, outer, first["shortcut_conv"], sum(first.values())),
            *(blocks - 1, sum(count.values()), 1, stage1.parameters),
        ],
        "parameters_comment": [3, 100 * stage3.parameters / total],
        "multiply_adds_question": [3, 3, 2, conv.kernel.shape[2], filters, height, width],
        "multiply_adds": [
            *(height, width, 9, filters, filters, cost, 100 * cost / whole, whole),
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
    first, second = np.array([[1.0, 2], [0, 1]]), np.array([[0.0, 1], [3, 0]])
    weights, bias = np.array([2.0, -1.0]), 0.3
    pixels = keras.Input((2, 2, 2))
    x = keras.layers.Activation("linear", name="maps")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, keras.layers.Dense(2, name="logits")(x))
    kernel = np.stack([weights, [0.0, 0.0]], axis=1)
    model.get_layer("logits").set_weights([kernel, np.array([bias, 0.0])])
    image = np.stack([first, second], axis=-1)[None].astype("float32")
    alpha = weights / first.size
    raw = alpha[0] * first + alpha[1] * second
    plain = grad_cam(model, image, 0, "maps", size=None, normalize=False)[0]
    normal = grad_cam(model, image, 0, "maps", size=None)[0]
    np.testing.assert_allclose(plain, np.maximum(raw, 0), atol=1e-6)
    logit = float(model.predict(image, verbose=0)[0, 0])
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


@pytest.fixture(scope="module")
def expected():
    return network_numbers() | schedule_numbers() | grad_cam_numbers() | softmax_numbers()


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
