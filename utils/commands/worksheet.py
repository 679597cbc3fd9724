"""Draws the figures of the worksheet Assignment4A.md anew, as SVG files in `figures/`.

They show what the code says: the receptive fields of the network that is built, the schedule of the
recipe, and the Grad-CAM map of question 12 as `grad_cam` computes it.
"""

import sys

import keras
import numpy as np

from utils.atomic import write_text
from utils.commands.arguments import command_parser
from utils.explain.grad_cam import grad_cam
from utils.figures.schedule import plot_schedule
from utils.figures.style import figure_svg
from utils.figures.worksheet import plot_receptive_field, plot_weighted_sum
from utils.model.resnet import resnet_v2, stage_table
from utils.records.read import ROOT
from utils.settings import RECIPES
from utils.training.recipe_schedule import schedule_values, steps_per_epoch

FOLDER = "figures"
TRAIN_IMAGES = 50_000
# Question 12: two channels of 2 x 2 activations, and a class with a weight for each and a bias.
MAPS = np.array([[[1, 0], [2, 1]], [[0, 3], [1, 0]]], "float32")
WEIGHTS, BIAS = np.array([2, -1], "float32"), 0.3


def worksheet_figures():
    """All figures of the worksheet: dict of file name to `utils.figures.style.Figure`."""
    recipe = RECIPES["one-cycle"]
    stages = stage_table(resnet_v2(recipe.depth))[:-1]
    rate, momentum = schedule_values(recipe, TRAIN_IMAGES)
    fields = [stage.receptive_field for stage in stages]
    raw = grad_cam(question_12(), MAPS[None], 0, "maps", signed=True, size=None, normalize=False)
    return {
        "receptive-field.svg": plot_receptive_field([stage.name for stage in stages], fields),
        "one-cycle.svg": plot_schedule(rate, momentum, steps_per_epoch(recipe, TRAIN_IMAGES)),
        "grad-cam-sum.svg": plot_weighted_sum(MAPS, WEIGHTS / MAPS[..., 0].size, raw[0]),
    }


def question_12():
    """The network of question 12; its other class has no weights."""
    pixels = keras.Input((2, 2, 2))
    x = keras.layers.Activation("linear", name="maps")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, keras.layers.Dense(2, name="logits")(x))
    kernel = np.stack([WEIGHTS, np.zeros(2)], axis=1)
    model.get_layer("logits").set_weights([kernel, np.array([BIAS, 0.0])])
    return model


def main(arguments=None, root=ROOT):
    """Parses the command line and draws; returns the exit status."""
    command_parser("utils.commands.worksheet", __doc__).parse_args(arguments)
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    for name, figure in worksheet_figures().items():
        write_text(folder / name, figure_svg(figure))
        print(f"drawn: {FOLDER}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
