"""K-stage control: the optimum by finite-horizon dynamic programming, and rules of thumb."""

from baselines.kstage.reference import describe_action
from baselines.kstage_control.instructions import describe_state, instructions
from baselines.kstage_control.model import daily_costs, model
from baselines.kstage_control.reference import reference_policies

__all__ = [
    "daily_costs",
    "describe_action",
    "describe_state",
    "instructions",
    "model",
    "reference_policies",
]
