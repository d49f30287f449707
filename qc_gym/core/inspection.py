"""What an inspector says of an item: two kinds of error, the same in every family."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

Fraction = TypeVar("Fraction", float, NDArray[np.float64])


@register_jitable
def judged(p: Fraction, false_alarm: float, miss: float) -> Fraction:
    """Return the fraction judged nonconforming of items of which a fraction ``p`` is.

    Plain Python and compiled code may both call it. Without errors it is ``p``, bit for bit.

    Parameters
    ----------
    p
        Fraction nonconforming; of any shape.
    false_alarm
        Probability that a conforming item is judged nonconforming (type I).
    miss
        Probability that a nonconforming item is judged conforming (type II).
    """
    return p * (1.0 - miss) + (1.0 - p) * false_alarm


@register_jitable
def log_passed(p: float, false_alarm: float, miss: float) -> float:
    """Return the logarithm of the fraction judged conforming of items of which ``p`` are not.

    Plain Python and compiled code may both call it. Without errors it is log(1 − p) to full
    relative precision; it is finite wherever p < 1 or an item may be missed.
    """
    if false_alarm == 0.0 and miss == 0.0:
        return math.log1p(-p)
    return math.log(p * miss + (1.0 - p) * (1.0 - false_alarm))


def check_errors(false_alarm: float, miss: float) -> None:
    """Raise a ValueError unless they are rates, and what is judged nonconforming is likelier to be so.

    A scenario's fields ``false_alarm`` and ``miss`` are of type
    :data:`~qc_gym.core.fields.ErrorRate`; this is what they have to meet together.
    """
    for name, value in {"false_alarm": false_alarm, "miss": miss}.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name} = {value}: a number of at least 0 and less than 1 is needed")
    # Both as they are summed and as they are subtracted: rounding may tell them apart.
    if not (false_alarm + miss < 1.0 and 1.0 - false_alarm - miss > 0.0):
        raise ValueError(
            f"false_alarm = {false_alarm} and miss = {miss}: their sum must be less than 1"
        )
