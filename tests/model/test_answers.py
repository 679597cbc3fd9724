"""The sentences about augmentation and network, held against what can be counted by hand."""

import numpy as np

from utils.model.answers import augmentation_answer, network_answer
from utils.model.resnet import resnet_v2


def test_draws_that_differ_and_draws_that_lost_a_rectangle_are_counted():
    draws = np.random.default_rng(0).normal(size=(3, 2, 8, 8, 3))
    draws[1, 0] = draws[0, 0]  # a draw that comes twice
    draws[2, 1, :4, :5] = 0
    draws[0, 1, 0, 0, 0] = 0  # one color of a pixel is no rectangle
    assert " ".join(augmentation_answer(draws, 0.25).split()) == (
        "In this run 6 draws of 2 images gave 5 different pictures, and 17% of them lost a "
        "rectangle, where the recipe says 25%."
    )


def test_a_deep_network_sees_the_whole_image_and_a_shallow_one_does_not():
    deep, shallow = (" ".join(network_answer(resnet_v2(depth)).split()) for depth in (29, 11))
    assert deep.endswith(
        "from stage 3 on a position in the middle of the map can see the whole image (a square of "
        "45 pixels; the image has 32)."
    )
    assert shallow.endswith("no stage sees the whole image, the last one 17 of 32 pixels.")
    model = resnet_v2(11)
    last = sum(one.count_params() for one in model.layers if one.name.startswith("stage3"))
    total = model.count_params()
    assert f"{total:,} parameters, {last / total:.0%} of them in the last stage" in shallow
