"""The pilot run: the optimum on the lattice of counts, and what information is worth."""

from baselines.pilot.information import ValueOfInformation, value_of_information
from baselines.pilot.lattice import Lattice
from baselines.pilot.model import build_model
from baselines.pilot.optimum import FAMILY, PilotRunOptimum, solve

__all__ = [
    "FAMILY",
    "Lattice",
    "PilotRunOptimum",
    "ValueOfInformation",
    "build_model",
    "solve",
    "value_of_information",
]
