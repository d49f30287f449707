"""M. Yang, 2010: how many stages of inspection and rework, in steady state [Y].

The paper's model is that of models.md, section 4. The earlier model of Yang and Kim (2009), with which it
is compared, takes the number of bad items in a lot as constant; its formulas are not in this paper, but
p_K (1 − x)^(n+1) = (1 − pR) x with AOQ = x gives all the numbers printed of it.

**The conjecture.** The paper could not prove that the earlier model always overestimates the average
outgoing quality. It does: let y be the fraction defective of the new model and z = (1 − λ) y < y its AOQ.
As z ≤ y, p_K (1 − z)^(n+1) ≥ p_K (1 − z)(1 − y)^n = (1 − pR) y > (1 − pR) z. So the earlier model's
equation, whose left side falls and whose right side grows in x, has its root, which is its AOQ, beyond z.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from scipy.optimize import brentq

from baselines.papers.ledger import Entry, Ledger

NAME = "yang-2010"
TITLE = "M. Yang: Minimization of Inspection Cost in an Inspection System, 2010"


class Plant(NamedTuple):
    """The inputs: items a day, two fractions defective, items a lot and a sample."""

    demand: float
    fraction_defective: float
    rework_fraction_defective: float
    lot_size: int
    sample_size: int


CASE_STUDY = Plant(4800.0, 0.161, 0.05, 240, 16)
