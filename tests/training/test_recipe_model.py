"""A recipe's network: loss scaling where it is needed, and choices that do not exist."""

import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import pytest
from other_process import run_alone
from sample_data import noise

from utils.settings import RECIPES
from utils.training.recipe_model import build_model, compile_model

ROOT = Path(__file__).resolve().parents[2]
RECIPE = replace(RECIPES["one-cycle"], depth=11, epochs=3, batch_size=32, max_lr=0.05)


@pytest.fixture(scope="module")
def dataset():
    return noise(70, 20)


def test_float16_gets_loss_scaling_and_others_do_not(dataset):
    for dtype, wrapped in (("mixed_float16", True), ("mixed_bfloat16", False)):
        model = build_model(RECIPE, dataset.x_train, dtype=dtype)
        compile_model(model, RECIPE, 70)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == wrapped


@pytest.mark.parametrize("field", ["schedule", "normalization"])
def test_unknown_choices_are_refused(dataset, field):
    recipe = replace(RECIPE, **{field: "magic"})
    with pytest.raises(ValueError, match=f"{field} must be .* got 'magic'"):
        compile_model(build_model(recipe, dataset.x_train), recipe, 70)


def test_a_saved_model_loads_as_the_notebook_says(dataset, tmp_path):
    """In a process of its own, which has imported nothing but the module that the text names."""
    cells = json.loads((ROOT / "Assignment4B.ipynb").read_text(encoding="utf-8"))["cells"]
    text = next(text for cell in cells if "Take it with you" in (text := "".join(cell["source"])))
    statement, call = re.search(r"`(import\s[\w.]+)`, then\s`([^`]+)`", text).groups()
    model = compile_model(build_model(RECIPE, dataset.x_train), RECIPE, 70)
    model.save(tmp_path / "model.keras")
    script = f"{' '.join(statement.split())}\nimport keras\nmodel = {call}\n"
    script += "print(type(model.optimizer).__name__, type(model.loss).__name__)"
    found = run_alone(script, tmp_path)
    assert found.stdout.split() == ["OneCycleSGD", "SmoothedCrossentropy"], found.stderr[-2000:]


def test_images_in_another_unit_are_refused(dataset):
    """Their statistics would normalize raw pixels by a factor of 255 wrongly, without a word."""
    with pytest.raises(ValueError, match="float64 in 0..1"):
        build_model(RECIPE, dataset.x_train / 255)
