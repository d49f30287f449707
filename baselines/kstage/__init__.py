"""K-stage inspection: the best K by enumeration, from the whole table of costs."""

from baselines.kstage.model import model, steady_states
from baselines.kstage.reference import (
    describe_action,
    describe_state,
    instructions,
    reference_policies,
)

__all__ = [
    "describe_action",
    "describe_state",
    "instructions",
    "model",
    "reference_policies",
    "steady_states",
]
