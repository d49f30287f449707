"""K-stage control: the optimum by finite-horizon dynamic programming, and rules of thumb."""

from baselines.kstage_control.model import daily_costs, model
from baselines.kstage_control.optimum import FAMILY, KStageControlOptimum, solve

__all__ = ["FAMILY", "KStageControlOptimum", "daily_costs", "model", "solve"]
