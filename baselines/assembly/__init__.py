"""Assembly: the exact optimum on belief states, static policies, and the optimum in words."""

from baselines.assembly.model import MAX_STATES, build_model
from baselines.assembly.optimum import FAMILY, AssemblyOptimum, solve
from baselines.assembly.static import StaticPolicy, enumerate_static, evaluate_static
from baselines.assembly.static_search import (
    always_inspect,
    best_static,
    myopic_actions,
    never_inspect,
    static_actions,
)

__all__ = [
    "FAMILY",
    "MAX_STATES",
    "AssemblyOptimum",
    "StaticPolicy",
    "always_inspect",
    "best_static",
    "build_model",
    "enumerate_static",
    "evaluate_static",
    "myopic_actions",
    "never_inspect",
    "solve",
    "static_actions",
]
