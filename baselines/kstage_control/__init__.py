"""K-stage control: the optimum by finite-horizon dynamic programming, and rules of thumb."""

from baselines.kstage_control.model import build_model, daily_costs
from baselines.kstage_control.optimum import FAMILY, KStageControlOptimum, solve

__all__ = ["FAMILY", "KStageControlOptimum", "build_model", "daily_costs", "solve"]
