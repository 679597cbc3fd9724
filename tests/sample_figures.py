"""Every figure of the course, drawn from made-up data: what the tests of figures share."""

import types
from collections import namedtuple

import numpy as np

from utils.explain.galleries import METHOD_NAMES
from utils.figures.benchmarks import Panel, plot_scaling
from utils.figures.data import plot_augmentation, plot_class_grid
from utils.figures.evaluation import plot_confusion, plot_per_class
from utils.figures.faithfulness import plot_faithfulness, plot_pointing
from utils.figures.gallery import Caption, plot_cam_gallery
from utils.figures.grad_cam import plot_cam_depth, plot_cam_methods, plot_cam_steps
from utils.figures.headline import plot_examples, plot_headline
from utils.figures.history import plot_history
from utils.figures.learning_curves import plot_learning_curves
from utils.figures.photo import plot_photo
from utils.figures.range_test import plot_peak_study, plot_range_test
from utils.figures.schedule import plot_schedule
from utils.figures.worksheet import plot_receptive_field, plot_weighted_sum

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Suggestions = namedtuple("Suggestions", "steep minimum valley slide")
Curves = namedtuple("Curves", "fractions insertion deletion insertion_area deletion_area")
Randomization = namedtuple("Randomization", "layers correlations")
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 3), dtype="uint8")
OVERLAYS = RNG.integers(0, 256, (40, 64, 64, 3), dtype="uint8")
PHOTO = RNG.integers(0, 256, (120, 180, 3), dtype="uint8")
LABELS = np.arange(40) % 10
STEPS = np.arange(500)
ONE_CYCLE = np.interp(STEPS, [0, 149, 499], [0.03, 0.8, 1e-6])
MOMENTUM = np.interp(STEPS, [0, 149, 499], [0.95, 0.85, 0.95])


def sweep(stopped_because="completed: all learning rates were tried."):
    lr = np.geomspace(1e-4, 10, 80)
    smoothed = 2.3 - np.exp(-(np.log(lr / 0.5) ** 2) / 4) + np.where(lr > 2, (lr - 2) ** 2, 0)
    loss = smoothed + RNG.normal(0, 0.1, 80)
    return types.SimpleNamespace(
        lr=lr, loss=loss, smoothed=smoothed, stopped_because=stopped_because
    )


def history(epochs, worse=0.0):
    return [
        {
            "epoch": n,
            "loss": 2 / n + worse,
            "accuracy": 1 - 0.6 / n - worse,
            "val_loss": 3 / n + worse,
            "val_accuracy": 1 - 0.8 / n - worse,
            "momentum_last": None,
        }
        for n in range(1, epochs + 1)
    ]


def captions(count):
    return [(NAMES[i % 10], NAMES[(i + (i % 3 == 0)) % 10], 0.55 + i / 100) for i in range(count)]


def two_maps():
    return [("for automobile", OVERLAYS[0]), ("for airplane", OVERLAYS[1])]


def curves():
    fractions = np.linspace(0, 1, 9)
    values = np.clip(RNG.normal(0.5, 0.3, (20, 9)), 0, 1)
    return Curves(fractions, values, 1 - values, values.mean(1), 1 - values.mean(1))


def scaling_panels():
    sizes = {"images": [1000, 2000, 4000, 8000], "layers": [20, 56, 110]}
    sizes["images a batch"] = [64, 128, 256, 512, 1024]
    panels = []
    for y_label, power, scale in (("time (s)", 0.95, 0.02), ("memory (MB)", 0.4, 90)):
        for x_label, x in sizes.items():
            median = scale * np.array(x) ** power
            panels.append(Panel(x_label, y_label, x, median, 0.9 * median, 1.2 * median))
    return panels


LAYERS = (
    "logits",
    "stage3_block5_3_conv",
    "stage2_block6_3_conv",
    "stage1_block3_1_bn",
    "stem_conv",
)
MASKS = np.zeros((10, 32, 32), bool)
MASKS[:, 8:24, 6:20] = True
MAPS = np.maximum(RNG.normal(size=(8, 8, 12)), 0)
WEIGHTS = RNG.normal(size=12)
LONG = (
    "diverged: at learning rate 4.2 the smoothed loss 9.31 exceeds 4 times its lowest value 2.11."
)
SAME = Suggestions(0.1, 0.1, 0.1, 0.1)
FIGURES = {
    "class grid": lambda: plot_class_grid(IMAGES, LABELS, NAMES, per_class=3),
    "augmentation": lambda: plot_augmentation(IMAGES[:3], RNG.uniform(-20, 290, (3, 7, 32, 32, 3))),
    "range test": lambda: plot_range_test(sweep(LONG), Suggestions(0.1, 0.05, 0.2, 1.3), 0.3, 0.4),
    "range test, one place": lambda: plot_range_test(sweep(), SAME, 0.1, 0.1),
    "range test, right edge": lambda: plot_range_test(
        sweep(), Suggestions(10, 9, 9.5, float("nan")), 10
    ),
    "range test, bare": lambda: plot_range_test(sweep()),
    "schedule": lambda: plot_schedule(ONE_CYCLE, MOMENTUM, 10),
    "schedule of 2019": lambda: plot_schedule(
        np.repeat(np.interp(range(50), [0, 23, 46, 49], [0.05, 1, 0.05, 0.05]), 10),
        np.full(500, 0.95),
        10,
    ),
    "peak study": lambda: plot_peak_study(
        [0.01, 0.1, 1.0], [[0.4, 0.5], [0.6, 0.7], [0.5]], Suggestions(0.1, 0.05, 0.2, 1.3), 0.1
    ),
    "history": lambda: plot_history(history(50), {"2019 submission": history(50)}),
    "history, two others": lambda: plot_history(
        history(50), {"2019 submission": history(50, 0.1), "seed-2019": history(50, 0.05)}
    ),
    "short history": lambda: plot_history(history(1)),
    "headline": lambda: plot_headline({"this repository": np.linspace(0.3, 0.9, 50)}),
    "headline, three runs": lambda: plot_headline(
        {
            "this repository, JPEG copy of the images": np.linspace(0.3, 0.9, 50),
            "submission of 2019": np.linspace(0.1, 0.9, 50),
            "its recipe, repeated here": np.linspace(0.2, 0.9, 50),
        },
        np.full((238, 900, 3), 255, "uint8"),
    ),
    "learning curves": lambda: plot_learning_curves(
        {
            f"{name}, the recipe of another year in full": [np.linspace(0.2, 0.9, 50)] * 2
            for name in ("one", "two", "three", "four")
        }
    ),
    "examples": lambda: plot_examples(
        [
            ("\u2713 right: automobile, 97 % sure", [("image", IMAGES[0]), *two_maps()[:1]]),
            (
                "\u2717 wrong: automobile, 100 % sure; truth: airplane",
                [("image", IMAGES[1]), *two_maps()],
            ),
        ]
    ),
    "examples, one": lambda: plot_examples([("\u2713 right: cat", [("image", IMAGES[0])])]),
    "confusion": lambda: plot_confusion(np.diag([900] * 10) + 7, NAMES),
    "per class": lambda: plot_per_class(
        np.linspace(0.8, 1, 10), NAMES, np.stack([np.linspace(0.78, 0.97, 10), np.ones(10)], 1)
    ),
    "per class, no interval": lambda: plot_per_class(np.full(10, 0.5), NAMES),
    "cam steps": lambda: plot_cam_steps(IMAGES[0], MAPS, WEIGHTS, MAPS @ WEIGHTS, OVERLAYS[0]),
    "cam steps, no evidence": lambda: plot_cam_steps(
        IMAGES[0], MAPS, np.zeros(12), np.zeros((8, 8)), OVERLAYS[0]
    ),
    "cam gallery": lambda: plot_cam_gallery(IMAGES[:20], OVERLAYS[:20], captions(20), 4),
    "cam gallery, five": lambda: plot_cam_gallery(IMAGES[:7], OVERLAYS[:7], captions(7), 5),
    "cam of a photo": lambda: plot_cam_gallery(
        IMAGES[:1], OVERLAYS[:1], [Caption(None, "dog", 0.7)], 2
    ),
    "cam gallery, two maps": lambda: plot_cam_gallery(
        IMAGES[:7],
        list(zip(OVERLAYS[:7], OVERLAYS[7:14])),
        captions(7),
        3,
        maps=("the prediction", "the truth"),
    ),
    "cam methods": lambda: plot_cam_methods(
        IMAGES[:3],
        {
            name: OVERLAYS[i : i + 3]
            for i, name in enumerate([*METHOD_NAMES.values(), "Grad-CAM,\ncontrast"])
        },
        ["automobile,\nnot airplane", "dog,\nnot cat", "ship,\nnot truck"],
    ),
    "cam methods, one": lambda: plot_cam_methods(IMAGES[:1], {"Grad-CAM": OVERLAYS[:1]}, ["cat"]),
    "scaling": lambda: plot_scaling(scaling_panels()),
    "scaling, one panel": lambda: plot_scaling(scaling_panels()[:1]),
    "photo, wide": lambda: plot_photo(
        PHOTO, IMAGES[0], PHOTO[::-1], np.array([0.62, 0.2, *[0.0225] * 8]), NAMES
    ),
    "photo, high": lambda: plot_photo(
        PHOTO.swapaxes(0, 1), IMAGES[0], PHOTO.swapaxes(0, 1), np.eye(10)[1], NAMES
    ),
    "cam depth": lambda: plot_cam_depth(IMAGES[0], OVERLAYS[:5], LAYERS),
    "receptive field": lambda: plot_receptive_field(["stem", "stage 1", "stage 2"], [3, 15, 39]),
    "receptive field, narrow": lambda: plot_receptive_field(["stage 3"], [17]),
    "weighted sum": lambda: plot_weighted_sum(
        np.arange(8).reshape(2, 2, 2), [0.5, -0.333333], [[-0.333333, 0.666667], [1, -12.5]]
    ),
    "weighted sum, nothing": lambda: plot_weighted_sum(
        np.zeros((2, 2, 3)), np.zeros(3), np.zeros((2, 2))
    ),
    "faithfulness": lambda: plot_faithfulness(
        {"Grad-CAM": curves(), "random": curves(), "center": curves()},
        Randomization(LAYERS, RNG.uniform(-0.5, 1, (3, 5, 20))),
    ),
    "pointing": lambda: plot_pointing(
        IMAGES[:10], MASKS, RNG.random((10, 32, 32)), IMAGES[:10], NAMES
    ),
    "faithfulness, no cascade": lambda: plot_faithfulness({"Grad-CAM": curves()}),
}
