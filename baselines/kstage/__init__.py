"""K-stage inspection: the best K by enumeration, from the whole table of costs."""

from baselines.kstage.model import build_model, steady_states
from baselines.kstage.optimum import FAMILY, KStageOptimum, solve

__all__ = ["FAMILY", "KStageOptimum", "build_model", "solve", "steady_states"]
