"""Inspect or stop: certified brackets on the optimum, exact scores, the policies of the paper."""

from baselines.lot.solution import LotSolution, solve

__all__ = ["LotSolution", "solve"]
