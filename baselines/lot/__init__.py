"""Inspect or stop: the optimum between certified bounds, exact scores, the policies of the paper."""

from baselines.lot.bracket import Bracket, BracketError, find_bracket
from baselines.lot.disagreements import find_disagreements
from baselines.lot.paper import LastResult, PaperAlgorithm, averaged_beliefs
from baselines.lot.policies import LotPolicy, lot_policy, random_policy
from baselines.lot.reference import best_size, lemma_1
from baselines.lot.sizes import BestLot, LotSizes, lot_of
from baselines.lot.solution import FAMILY, LotOptimum, solve

__all__ = [
    "FAMILY",
    "BestLot",
    "Bracket",
    "BracketError",
    "LastResult",
    "LotOptimum",
    "LotPolicy",
    "LotSizes",
    "PaperAlgorithm",
    "averaged_beliefs",
    "best_size",
    "find_bracket",
    "find_disagreements",
    "lemma_1",
    "lot_of",
    "lot_policy",
    "random_policy",
    "solve",
]
