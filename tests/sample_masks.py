"""Masks of a square object: what the tests of faithfulness and of perturbation share."""

import numpy as np


def square_mask(count=1, side=8):
    masks = np.zeros((count, side, side), bool)
    masks[:, 1:3, 1:5] = True  # 8 of 64 pixels
    return masks
