"""Whole numbers of the public interface, of whatever type a data frame hands over."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from qc_gym.core.errors import shown


def whole_number(
    name: str, value: Any, least: int | None = None, most: int | None = None, *, or_none: str = ""
) -> int:
    """Return ``value`` as an int: any whole number that Python can index with, numpy's included.

    Parameters
    ----------
    name
        What the error message calls it.
    value
        A bool is no number, nor is a float, whole or not.
    least, most
        Bounds, both allowed; None for no bound.
    or_none
        What the message says of None, where the caller allows that: ``"for no limit"``.

    Raises
    ------
    ValueError
        Not a whole number, or out of bounds; the message names it, its value and what is allowed.
    """
    number = None
    if not isinstance(value, bool | np.bool_):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
    if (
        number is None
        or (least is not None and number < least)
        or (most is not None and number > most)
    ):
        bounds = ""
        if least is not None and most is not None:
            bounds = f" from {least} to {most}"
        elif least is not None or most is not None:
            bounds = f" of at least {least}" if most is None else f" of at most {most}"
        none = f", or None {or_none}," if or_none else ""
        raise ValueError(f"{name} = {shown(value)}: a whole number{bounds}{none} is needed")
    return number
