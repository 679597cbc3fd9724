"""Settings, maps, masks and targets that hypothesis makes up: right, wrong and senseless ones.

Every function here draws an input and gives back a call to be guarded.
"""

from functools import cache

import numpy as np
from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(-3, 60), st.floats(), st.floats(0, 1), st.booleans()
)
ANYTHING = st.one_of(NUMBERS, st.none(), st.text(max_size=8), st.lists(NUMBERS, max_size=3))
DTYPES = ("uint8", "int64", "float16", "float32", "float64", "bool", "complex64", "object", "<U2")
SIDES = st.integers(0, 9)


@st.composite
def arrays(draw, *shapes):
    """An array of one of some shapes, or of any, of any dtype; finite or not."""
    shape = draw(st.one_of(*map(st.just, shapes), st.lists(SIDES, max_size=4).map(tuple)))
    dtype = draw(st.sampled_from(DTYPES))
    seed, kind = draw(st.integers(0, 99)), draw(st.sampled_from(("noise", "zeros", "ones", "bad")))
    rng = np.random.default_rng(seed)
    values = (
        rng.normal(0, 50, shape) if kind in ("noise", "bad") else np.full(shape, kind == "ones")
    )
    with np.errstate(all="ignore"):
        array = values.astype(dtype)
    if kind == "bad" and array.size and array.dtype.kind in "fc":
        array.flat[0] = draw(st.sampled_from((np.nan, np.inf, -np.inf)))
    return array


@st.composite
def settings(draw):
    """Profile and data source, from arguments and environment."""
    from utils.settings import load_settings

    word = st.one_of(st.none(), st.text(max_size=12), st.sampled_from(("full", " QUICK ", "smoke")))
    environ = {
        name: value
        for name in ("ASSIGNMENT_PROFILE", "ASSIGNMENT_DATA")
        if (value := draw(word)) is not None
    }
    profile, data, on_gpu = draw(word), draw(word), draw(st.booleans())
    return lambda: load_settings(profile, data, on_gpu=on_gpu, environ=environ)


@st.composite
def schedules(draw):
    """Numbers of a schedule."""
    from utils.training import schedule

    steps, total, peak, momentum = (draw(NUMBERS) for _ in range(4))
    start = draw(NUMBERS)
    which = draw(st.integers(0, 2))
    if which == 0:
        return lambda: schedule.one_cycle(steps, total, peak, pct_start=start)
    if which == 1:
        return lambda: schedule.one_cycle_momentum(
            steps, total, pct_start=start, max_momentum=peak, base_momentum=momentum
        )
    return lambda: schedule.step_decay(steps, total, peak)


@st.composite
def augmentations(draw):
    """Settings of the augmentation."""
    from utils.model.augment import Augment

    pair = st.tuples(NUMBERS, NUMBERS)
    arguments = {
        name: draw(strategy)
        for name, strategy in {
            **{"shift": NUMBERS, "flip": st.booleans(), "erase_probability": NUMBERS},
            **{"erase_area": pair, "erase_ratio": pair},
        }.items()
    }
    return lambda: Augment(**arguments)


@st.composite
def masks(draw):
    """Heatmaps beside masks of objects."""
    from utils.explain import pointing

    maps, objects = draw(arrays((2, 8, 8), (2, 4, 4))), draw(arrays((2, 8, 8), (2, 4, 4)))
    measure = draw(st.sampled_from((pointing.pointing_game, pointing.energy_inside)))
    return lambda: measure(maps, objects)


@st.composite
def maps(draw):
    """A heatmap to be laid over an image."""
    from utils.explain.overlay import overlay

    image, heatmap = draw(arrays((8, 8, 3))), draw(arrays((4, 4), (8, 8)))
    size = draw(st.one_of(st.integers(-2, 64), st.none(), st.floats(0, 8)))
    colormap = draw(st.sampled_from(("inferno", "jet", "", "nonsense")))
    opacity = draw(NUMBERS)
    options = {"size": size, "colormap": colormap, "max_opacity": opacity}
    return lambda: overlay(image, heatmap, **options)


@st.composite
def perturbations(draw):
    """Images, maps and classes for insertion and deletion."""
    from utils.explain.perturbation import insertion_deletion

    images, heat = draw(arrays((2, 8, 8, 3))), draw(arrays((2, 8, 8)))
    targets = draw(st.one_of(st.integers(-2, 12), arrays((2,), ()), st.lists(NUMBERS, max_size=3)))
    steps, baseline = draw(st.one_of(st.integers(-1, 8), NUMBERS)), draw(ANYTHING)
    baseline = draw(st.sampled_from(("blur", "mean", baseline)))

    def predict(batch):
        return np.full((len(batch), 10), 0.1)

    return lambda: insertion_deletion(
        predict, images, heat, targets, steps=steps, baseline=baseline
    )


@cache
def explainer():
    """Grad-CAM of a small network, compiled once."""
    from utils.explain.explainer import GradCAM
    from utils.model.resnet import resnet_v2

    return GradCAM(resnet_v2(11, mean=0.0, std=255.0))


@st.composite
def targets(draw):
    """Images and the classes that Grad-CAM is asked for."""
    explain = explainer()
    shapes = st.sampled_from(((1, 32, 32, 3), (1, 32, 32, 3), (1, 16, 16, 3), (32, 32, 3), (0,)))
    images = np.zeros(draw(shapes), draw(st.sampled_from(("uint8", "float32", "bool", "<U1"))))
    classes = draw(
        st.one_of(st.integers(-20, 20), st.none(), arrays((1,)), st.lists(ANYTHING, max_size=2))
    )
    contrast = draw(st.one_of(st.none(), st.integers(-20, 20), st.lists(NUMBERS, max_size=2)))
    return lambda: explain(images, classes, contrast=contrast)


# Name: (share of all inputs, strategy). Grad-CAM computes, so it gets fewer.
STRATEGIES = {
    "settings": (3, settings),
    "schedules": (3, schedules),
    "augmentations": (2, augmentations),
    "masks": (3, masks),
    "maps": (3, maps),
    "perturbations": (2, perturbations),
    "targets": (1, targets),
}
