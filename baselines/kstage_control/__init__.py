"""K-stage control: the optimum by finite-horizon dynamic programming, and rules of thumb."""

from baselines.kstage_control.instructions import instructions
from baselines.kstage_control.model import daily_costs, model
from baselines.kstage_control.reference import reference_policies

__all__ = ["daily_costs", "instructions", "model", "reference_policies"]
