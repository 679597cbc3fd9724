"""The sentences about heatmaps: true ones for good, doubtful and empty maps."""

import numpy as np

from utils.explain.answers import cam_answer, faithfulness_answer, photo_answer
from utils.explain.perturbation import PerturbationCurves
from utils.explain.randomization import Randomization


def said(text):
    assert max(map(len, text.splitlines())) <= 92
    return " ".join(text.split())


def test_the_values_of_a_map_and_the_bias_make_the_logit():
    raw = np.array([[0.5, 0.75], [-0.75, 0.5]])
    assert said(cam_answer(raw, 0.3, "cat")) == (
        "For this image 3 of 4 positions speak for cat, most of all row 1, column 2 of 2 x 2; "
        "together the 4 values are 1.00, and with the bias, 0.30, they are the logit, 1.30 "
        "(rounded)."
    )


def curves(insertion, deletion, spread):
    noise = spread * np.array([-1.0, 0.0, 1.0, 0.0])
    return PerturbationCurves(None, None, None, insertion + noise, deletion + noise)


LOW = curves(0.1, 0.9, 0.0)


CORRELATIONS = np.array([[[0.9, 0.8], [0.1, -0.2]], [[0.7, 0.6], [0.0, 0.3]]])
CASCADE = Randomization(("logits", "stem"), CORRELATIONS, CORRELATIONS == 0)


def test_the_strongest_blind_map_is_the_one_to_beat():
    blind = {"random": curves(0.4, 0.5, 0.01), "center": curves(0.6, 0.6, 0.02)}
    text = said(faithfulness_answer({"Grad-CAM": curves(0.7, 0.3, 0.01), **blind}, CASCADE))
    margin = 1.96 * 0.01 * np.sqrt(2 / 3) / 2  # of the difference to center, image by image
    assert text == (
        f"Against the best map that knows nothing of the network, Grad-CAM is ahead by +0.100 +- "
        f"{margin:.3f} in insertion (center) and by +0.200 +- 0.000 in deletion (random), more "
        f"than chance explains; when all layers are random, its rank correlation with the "
        f"original map is 0.05 on average, -0.05 to 0.15 in 2 draws (25 % of the maps are empty, "
        f"taken as 0)."
    )


def test_a_single_draw_without_empty_maps_needs_fewer_words():
    one = Randomization(("logits", "stem"), CORRELATIONS[:1], CORRELATIONS[:1] == 2)
    text = said(faithfulness_answer({"Grad-CAM": curves(0.7, 0.3, 0.0), "edges": LOW}, one))
    assert text.endswith("its rank correlation with the original map is -0.05.")


def test_a_lead_within_its_margin_is_left_to_chance():
    blind = {"edges": curves(0.5, 0.4, 0.0)}
    text = said(faithfulness_answer({"Grad-CAM": curves(0.51, 0.4, 0.3), **blind}, CASCADE))
    assert "which chance may explain" in text and "more than chance" not in text


def test_a_map_that_is_beaten_is_called_so():
    blind = {"edges": curves(0.5, 0.4, 0.0)}
    text = said(faithfulness_answer({"Grad-CAM": curves(0.3, 0.6, 0.01), **blind}, CASCADE))
    assert "-0.200 +- 0.008 in insertion (edges)" in text and "the blind map is the better" in text


def test_measures_that_disagree_are_called_so():
    blind = {"edges": curves(0.5, 0.4, 0.0)}
    text = said(faithfulness_answer({"Grad-CAM": curves(0.3, 0.1, 0.01), **blind}, CASCADE))
    assert "-0.200" in text and "+0.300" in text and "so the two measures disagree;" in text


def test_one_measure_that_is_decided_is_named():
    blind = {"edges": curves(0.5, 0.4, 0.0)}
    text = said(faithfulness_answer({"Grad-CAM": curves(0.7, 0.4, 0.01), **blind}, CASCADE))
    assert "in deletion (edges), more than chance explains in insertion only;" in text
    text = said(faithfulness_answer({"Grad-CAM": curves(0.3, 0.4, 0.01), **blind}, CASCADE))
    assert "so the blind map is the better one in insertion, and chance may explain" in text


def test_a_photo_is_named_with_its_second_class_and_the_hottest_place():
    heat = np.zeros((8, 8))
    heat[2, 4] = 1
    odds = np.array([0.1, 0.7, 0.2])
    assert said(photo_answer(odds, ("cat", "dog", "frog"), heat)) == (
        "Of the 3 classes it knows the network says dog (70.0%), then frog (20.0%), and the map "
        "of dog is hottest at row 3, column 5 of 8 x 8."
    )
    assert said(photo_answer(odds, "abc", 0 * heat)).endswith("the map of b is empty.")
