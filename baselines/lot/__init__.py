"""Inspect or stop: the optimum between certified bounds, exact scores, the policies of the paper."""

from baselines.lot.bracket import Bracket, BracketError, bracket
from baselines.lot.disagreements import disagreements
from baselines.lot.paper import LastResult, PaperAlgorithm, averaged_beliefs
from baselines.lot.policies import LotPolicy, lot_policy, random_policy
from baselines.lot.reference import best_size, instructions, lemma_1, reference_policies
from baselines.lot.sizes import BestLot, LotSizes, lot_of
from baselines.lot.solution import LotSolution, solve

__all__ = [
    "BestLot",
    "Bracket",
    "BracketError",
    "LastResult",
    "LotPolicy",
    "LotSizes",
    "LotSolution",
    "PaperAlgorithm",
    "averaged_beliefs",
    "best_size",
    "bracket",
    "disagreements",
    "instructions",
    "lemma_1",
    "lot_of",
    "lot_policy",
    "random_policy",
    "reference_policies",
    "solve",
]
