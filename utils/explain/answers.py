"""What the notebook says about its heatmaps, each in one sentence of this run's numbers."""

import numpy as np

from utils.explain.perturbation import mean_interval
from utils.text_table import fold_lines


def cam_answer(raw_map, bias, class_name):
    """Where a map speaks for its class, and that its values and the bias make the logit.

    Args:
        raw_map: (rows, columns), the weighted sum of the channels before the ReLU, of a network
            that ends in average pooling and one Dense layer.
        bias: float, the bias of the class in that layer.
        class_name: str.

    Returns:
        str, one sentence in lines.
    """
    total = float(raw_map.sum())
    return fold_lines(
        f"For this image {(raw_map > 0).sum()} of {raw_map.size} positions speak for {class_name}, "
        f"most of all {_place(raw_map)}; together the {raw_map.size} values are {total:.2f}, and "
        f"with the bias, {bias:.2f}, they are the logit, {total + bias:.2f} (rounded)."
    )


def faithfulness_answer(curves, cascade):
    """Whether a map beats the best one that knows nothing, and what random layers leave of it.

    Args:
        curves: dict of name to `utils.explain.perturbation.PerturbationCurves` of the same images,
            at least 2; the method first, then maps that know nothing of the network.
        cascade: `utils.explain.randomization.Randomization` of the method.

    Returns:
        str, one sentence in lines.
    """
    (method, ours), *others = curves.items()
    leads, ahead, behind = [], [], []
    for kind, sign in (("insertion", 1), ("deletion", -1)):
        areas = {name: sign * getattr(one, f"{kind}_area") for name, one in others}
        best = max(areas, key=lambda name: areas[name].mean())
        lead, margin = mean_interval(sign * getattr(ours, f"{kind}_area") - areas[best])
        leads.append(f"{lead:+.3f} +- {margin:.3f} in {kind} ({best})")
        ahead += [kind] if lead > margin else []
        behind += [kind] if lead < -margin else []
    if ahead and behind:
        verdict = "so the two measures disagree"
    elif ahead:
        verdict = "more than chance explains" + (f" in {ahead[0]} only" if len(ahead) == 1 else "")
    elif behind:
        verdict = "so the blind map is the better one"
        if len(behind) == 1:
            verdict += f" in {behind[0]}, and chance may explain the rest"
    else:
        verdict = "which chance may explain"
    draws = cascade.correlations[:, -1].mean(axis=1)
    text = (
        f"Against the best map that knows nothing of the network, {method} is ahead by "
        f"{' and by '.join(leads)}, {verdict}; when all layers are random, its rank correlation "
        f"with the original map is {draws.mean():.2f}"
    )
    if len(draws) > 1:
        text += f" on average, {draws.min():.2f} to {draws.max():.2f} in {len(draws)} draws"
    if cascade.constant[:, -1].any():
        text += f" ({100 * cascade.constant[:, -1].mean():.0f} % of the maps are empty, taken as 0)"
    return fold_lines(text + ".")


def photo_answer(probabilities, class_names, heatmap):
    """What the network takes a photo for, and where its map is hottest.

    Args:
        probabilities: (classes,), in 0..1.
        class_names: as many names.
        heatmap: (rows, columns), the map at the layer's resolution.

    Returns:
        str, one sentence in lines.
    """
    second, first = np.argsort(probabilities, kind="stable")[-2:]
    where = f"is hottest at {_place(heatmap)}" if heatmap.max() > 0 else "is empty"
    return fold_lines(
        f"Of the {len(class_names)} classes it knows the network says {class_names[first]} "
        f"({probabilities[first]:.1%}), then {class_names[second]} ({probabilities[second]:.1%}), "
        f"and the map of {class_names[first]} {where}."
    )


def _place(values):
    row, column = np.unravel_index(np.argmax(values), values.shape)
    return f"row {row + 1}, column {column + 1} of {values.shape[0]} x {values.shape[1]}"
