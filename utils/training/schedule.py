"""Learning rate and momentum as pure functions of the training step.

The curves are computed once, in float64 NumPy, for every step of the run. The compiled training
step only looks up `table[iterations]`: in float32 the small last values of a cosine would be lost
to cancellation (1 + cos(pi u) near u = 1), and a table has no state, so a run that is resumed at
step t goes on with exactly the values it would have had.
"""

import math
import numbers

import numpy as np

_SEED_BASE, SEED_PEAK = 0.05, 1.0
_SEED_HALF_CYCLE = 2300  # steps from base to peak; the submission counted 100 steps an epoch


def piecewise(step, knots, values, anneal="linear"):
    """Curve through the points (knots, values); constant before the first and after the last.

    Args:
        step: number or array of any shape, in the unit of `knots`. Need not be whole.
        knots: at least two finite numbers, strictly increasing. Not rounded.
        values: as many finite numbers, the curve's heights at the knots.
        anneal: "linear", or "cos": half a cosine period between two knots.

    Returns:
        float64 of the shape of `step`; a Python float for a single number.

    Raises:
        ValueError: for knots, values or an `anneal` other than these.
    """
    knots, values = np.asarray(knots, np.float64), np.asarray(values, np.float64)
    if knots.ndim != 1 or len(knots) < 2 or knots.shape != values.shape:
        raise ValueError(
            f"Received knots of shape {knots.shape} and values of shape {values.shape}; "
            "pass two lists of equal length, at least 2."
        )
    if not (np.isfinite(values).all() and np.isfinite(knots).all() and (np.diff(knots) > 0).all()):
        raise ValueError(
            f"Received knots={knots.tolist()}, values={values.tolist()}; all must be finite and "
            "the knots strictly increasing. Use more steps or longer phases."
        )
    if anneal not in ("linear", "cos"):
        raise ValueError(f'Received anneal={anneal!r}; use "linear" or "cos".')
    step = np.clip(np.asarray(step, np.float64), knots[0], knots[-1])
    phase = np.searchsorted(knots[1:], step, side="left")  # the first phase with step <= its end
    phase = np.minimum(phase, len(knots) - 2)
    start, end = values[phase], values[phase + 1]
    u = (step - knots[phase]) / (knots[phase + 1] - knots[phase])
    if anneal == "linear":
        curve = start + (end - start) * u
    else:
        curve = end + (start - end) / 2 * (1 + np.cos(np.pi * u))
    return curve if curve.ndim else curve.item()


def _check_total_steps(total_steps):
    if not isinstance(total_steps, numbers.Integral) or total_steps < 2:
        raise ValueError(f"Received total_steps={total_steps!r}; it must be a whole number >= 2.")


def _one_cycle_knots(total_steps, pct_start, three_phase):
    """Phase ends as in PyTorch: pct_start * total_steps - 1 stays a float."""
    _check_total_steps(total_steps)
    limit = 0.5 if three_phase else 1.0
    if not 0 < pct_start < 1 or pct_start > limit:
        raise ValueError(
            f"Received pct_start={pct_start}; it must lie between 0 and 1, and be at most 0.5 with "
            "three_phase=True, where the fall takes as long as the rise."
        )
    rise = pct_start * total_steps - 1
    if rise <= 0:
        raise ValueError(
            f"Received pct_start={pct_start} of total_steps={total_steps}: the rise must last more "
            f"than 1 step. Use pct_start > {1 / total_steps} or more steps."
        )
    middle = [2 * pct_start * total_steps - 2] if three_phase else []
    return [0.0, rise, *middle, total_steps - 1.0]


def _is_positive(value):
    """Whether it is a finite number above 0; not an int that no float can hold, and no text."""
    try:
        return bool(math.isfinite(value) and value > 0)
    except (TypeError, ValueError, OverflowError):
        return False


def _check_positive(**settings):
    for name, value in settings.items():
        if not _is_positive(value):
            raise ValueError(f"Received {name}={value}; it must be a finite number > 0.")


def one_cycle(
    step,
    total_steps,
    max_lr,
    *,
    pct_start=0.3,
    anneal="cos",
    three_phase=False,
    div_factor=25.0,
    final_div_factor=1e4,
):
    """Learning rate of the one-cycle policy, equal to PyTorch's `OneCycleLR`.

    Rises from i = max_lr / div_factor to max_lr, then falls to i / final_div_factor; with
    `three_phase` it falls to i as slowly as it rose, and only then to the end ("annihilation").
    Source: Smith and Topin 2017, "Super-Convergence", arXiv 1708.07120.

    Args:
        step: int or int array, 0 for the first batch. Clamped to 0..total_steps - 1.
        total_steps: int >= 2, batches of the whole run.
        max_lr: float > 0, the peak, at step pct_start * total_steps - 1.
        pct_start: share of the run in which the learning rate rises, 0 < p < 1.
        anneal: "cos" or "linear".
        three_phase: bool; needs pct_start <= 0.5.
        div_factor: float > 0, peak over first value.
        final_div_factor: float > 0, first over last value.

    Returns:
        float64 of the shape of `step`, or a Python float.

    Raises:
        ValueError: for settings outside the limits above.
    """
    _check_positive(max_lr=max_lr, div_factor=div_factor, final_div_factor=final_div_factor)
    first = max_lr / div_factor
    last = first / final_div_factor
    values = [first, max_lr, first, last] if three_phase else [first, max_lr, last]
    return piecewise(step, _one_cycle_knots(total_steps, pct_start, three_phase), values, anneal)


def one_cycle_momentum(
    step,
    total_steps,
    *,
    pct_start=0.3,
    anneal="cos",
    three_phase=False,
    max_momentum=0.95,
    base_momentum=0.85,
):
    """Momentum of the one-cycle policy: low where the learning rate is high.

    Args:
        step, total_steps, pct_start, anneal, three_phase: as in `one_cycle`.
        max_momentum: float in [0, 1), at the beginning and at the end.
        base_momentum: float in [0, max_momentum], at the peak of the learning rate.

    Returns:
        float64 of the shape of `step`, or a Python float.

    Raises:
        ValueError: for settings outside these limits.
    """
    if not 0 <= base_momentum <= max_momentum < 1:
        raise ValueError(
            f"Received base_momentum={base_momentum}, max_momentum={max_momentum}; "
            "they must satisfy 0 <= base_momentum <= max_momentum < 1."
        )
    values = [max_momentum, base_momentum, max_momentum, max_momentum]
    knots = _one_cycle_knots(total_steps, pct_start, three_phase)
    return piecewise(step, knots, values[: len(knots)], anneal)


def step_decay(step, total_steps, initial, milestones=(0.5, 0.75), factor=0.1):
    """The classic schedule: constant, divided by ten at half and at three quarters of the run.

    He et al. 2015, https://arxiv.org/abs/1512.03385, Section 4.2: divided at 32,000 and 48,000 of
    64,000 steps, with ResNet v2 again at these (https://arxiv.org/abs/1603.05027, Appendix). It is
    what one-cycle is compared with.

    Args:
        step: whole number or array of them, counted from 0.
        total_steps: int >= 2, steps of the whole run.
        initial: first learning rate, finite and > 0.
        milestones: shares of the run in (0, 1), rising, at which the rate is multiplied.
        factor: what it is multiplied by, in (0, 1].

    Returns:
        float64 of the shape of `step`, or a Python float.

    Raises:
        ValueError: on settings outside these ranges.
    """
    _check_total_steps(total_steps)
    milestones = np.asarray(milestones, np.float64)
    if not (_is_positive(initial) and _is_positive(factor) and factor <= 1):
        raise ValueError(
            f"Received initial={initial!r}, factor={factor!r}; the rate must be finite and > 0, "
            "the factor above 0 and at most 1."
        )
    if not ((milestones > 0) & (milestones < 1)).all() or (np.diff(milestones) <= 0).any():
        raise ValueError(
            f"Received milestones={milestones.tolist()}; they are shares of the run, rising "
            "between 0 and 1."
        )
    drops = np.round(milestones * total_steps, 6)  # 0.55 of 100 is 55.00000000000001
    passed = np.searchsorted(drops, np.asarray(step), side="right")
    lr = initial * factor ** passed.astype(np.float64)
    return lr if lr.ndim else lr.item()


def seed_triangle_proposal(epoch):
    """Learning rate that the 2019 submission printed as its proposal for an epoch.

    A triangular wave (Smith 2015, arXiv 1506.01186) between 0.05 and 1.0. It is written as the
    submission wrote it, not with `piecewise`, because the last printed digit depends on the order
    of the operations.

    Args:
        epoch: number or array >= 0, counted from 0; fractions lie between two epochs.

    Returns:
        float64 of the shape of `epoch`, or a Python float.

    Raises:
        ValueError: for a negative epoch.
    """
    epoch = np.asarray(epoch)
    if (epoch < 0).any():
        raise ValueError(f"Received epoch={epoch.tolist()}; epochs count from 0.")
    iterations = epoch * 100.0
    cycle = np.floor(1 + iterations / (2 * _SEED_HALF_CYCLE))
    x = np.abs(iterations / _SEED_HALF_CYCLE - 2 * cycle + 1)
    lr = _SEED_BASE + (SEED_PEAK - _SEED_BASE) * np.maximum(0, 1 - x)
    return lr if lr.ndim else lr.item()


def seed_triangle(epoch):
    """Learning rate that the 2019 submission used in an epoch, to the last digit of its log.

    The submission held the base rate 0.05 once its previous learning rate had come back to it.
    That happens after one triangle of 46 epochs, so it is a function of the epoch alone.

    Args:
        epoch: number or array >= 0, counted from 0; fractions lie between two epochs.

    Returns:
        float64 of the shape of `epoch`, or a Python float.

    Raises:
        ValueError: for a negative epoch.
    """
    first_cycle = np.asarray(epoch) * 100 < 2 * _SEED_HALF_CYCLE
    lr = np.where(first_cycle, seed_triangle_proposal(epoch), _SEED_BASE)
    return lr if lr.ndim else lr.item()
