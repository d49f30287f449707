"""The ways in which a plan is committed to in practice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.references import Reference
from baselines.pilot.beliefs import Beliefs
from baselines.pilot.information import Sizes, best_sizes
from baselines.pilot.lattice import Lattice, certainty_equivalent_plans, look_ahead
from baselines.pilot.model import PilotPolicy
from qc_gym.pilot.dynamics import COMMIT

Actions = NDArray[np.integer]
Designed = tuple[PilotPolicy, Mapping[str, Any]]


def designs(lattice: Lattice, play: Callable[[Actions], PilotPolicy]) -> dict[str, Reference]:
    """Return reference policies by name.

    Parameters
    ----------
    lattice
        The optimum.
    play
        Makes a policy of actions on the lattice.
    """
    beliefs = lattice.beliefs
    best = COMMIT + lattice.plans

    def certainty_equivalent() -> Actions:
        return COMMIT + certainty_equivalent_plans(beliefs)

    def after_sizes(then: Actions) -> Designed:
        sizes, _ = best_sizes(lattice)
        names = beliefs.scenario.order
        return play(first_missing(beliefs, sizes, then)), dict(zip(names, sizes, strict=True))

    def everything() -> Designed:
        one, two, product = (axis.node.max_samples for axis in beliefs.axes)
        return play(first_missing(beliefs, (one, two, product), best)), {}

    def one_step() -> Designed:
        tests = look_ahead(beliefs, lattice.payoffs)
        return play(np.where(tests < 0, best, tests)), {}

    return {
        "commit_at_once": Reference(
            "no test; the plan of the highest expected profit", lambda: (play(best), {})
        ),
        "certainty_equivalent": Reference(
            "no test; the plan that is best at the mean rates",
            lambda: (play(certainty_equivalent()), {}),
        ),
        "sample_everything": Reference(
            "all tests that there are, then the plan of the highest expected profit", everything
        ),
        "best_fixed": Reference(
            "the best numbers of tests fixed beforehand, then the plan of the highest expected profit",
            lambda: after_sizes(best),
        ),
        "fixed_certainty_equivalent": Reference(
            "the tests of best_fixed, then the plan that is best at the mean rates",
            lambda: after_sizes(certainty_equivalent()),
        ),
        "knowledge_gradient": Reference(
            "the test that would gain the most if it were the last, while one gains anything",
            one_step,
        ),
    }


def first_missing(beliefs: Beliefs, sizes: Sizes, then: Actions) -> Actions:
    """Return the actions that test each node up to its size, the first ones first, (S,).

    Parameters
    ----------
    sizes
        Tests of part 1, part 2 and builds.
    then
        What is done with as many or more, (S,).
    """
    actions = np.asarray(then).reshape(beliefs.shape).copy()
    for k in (2, 1, 0):
        shape = [1, 1, 1]
        shape[k] = -1
        missing = (beliefs.axes[k].n < sizes[k]).reshape(shape)
        actions = np.where(missing, k, actions)
    return actions.ravel()
