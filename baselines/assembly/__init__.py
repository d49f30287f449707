"""Assembly: the exact optimum on belief states, static policies, and the optimum in words."""

from baselines.assembly.instructions import describe_action, describe_state, instructions
from baselines.assembly.model import MAX_STATES, TooManyStatesError, model
from baselines.assembly.reference import reference_policies
from baselines.assembly.static import StaticPolicy, enumerate_static, evaluate_static
from baselines.assembly.static_search import (
    always_inspect,
    best_static,
    myopic_actions,
    never_inspect,
    static_actions,
)

__all__ = [
    "MAX_STATES",
    "StaticPolicy",
    "TooManyStatesError",
    "always_inspect",
    "best_static",
    "describe_action",
    "describe_state",
    "enumerate_static",
    "evaluate_static",
    "instructions",
    "model",
    "myopic_actions",
    "never_inspect",
    "reference_policies",
    "static_actions",
]
