"""What the notebook says about augmentation and network, each in one sentence of this run."""

import numpy as np

from utils.model.resnet import stage_table
from utils.text_table import fold_lines

# What an erased pixel holds in every channel, and no other does: `erase_fill` of the recipe.
ERASED = 0.0


def augmentation_answer(draws, erase_probability):
    """How many draws differ, and how many of them lost a rectangle.

    Args:
        draws: float (draws, images, h, w, channels), normalized images as augmented.
        erase_probability: float in 0..1, what the recipe says.

    Returns:
        str, one sentence in lines.
    """
    draws = np.asarray(draws)
    pictures = draws.reshape(-1, *draws.shape[2:])
    different = len({one.tobytes() for one in pictures})
    erased = (pictures == ERASED).all(axis=-1).any(axis=(1, 2)).mean()
    return fold_lines(
        f"In this run {len(pictures)} draws of {draws.shape[1]} images gave {different} different "
        f"pictures, and {erased:.0%} of them lost a rectangle, where the recipe says "
        f"{erase_probability:.0%}."
    )


def network_answer(model):
    """Where the parameters of a network are, and from which stage on it sees the whole image.

    Args:
        model: `keras.Model` from `utils.model.resnet.resnet_v2`.

    Returns:
        str, one sentence in lines.
    """
    rows, side = stage_table(model), model.inputs[0].shape[1]
    stages, total = rows[:-1], sum(row.parameters for row in rows)
    last = stages[-1]
    whole = next((row for row in stages if row.receptive_field >= side), None)
    sees = f"no stage sees the whole image, the last one {last.receptive_field} of {side} pixels"
    if whole:
        sees = f"from {whole.name} on a position in the middle of the map can see the whole image"
        sees += f" (a square of {whole.receptive_field} pixels; the image has {side})"
    return fold_lines(
        f"In this run {model.name} has {total:,} parameters, {last.parameters / total:.0%} of them "
        f"in the last stage, and takes {sum(row.multiply_adds for row in rows) / 1e6:,.0f} million "
        f"multiply-adds an image; {sees}."
    )
