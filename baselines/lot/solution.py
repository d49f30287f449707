"""The optimum of inspect-or-stop, and the score of any policy against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from baselines.core.certificate import (
    Certificate,
    OracleError,
    Simulation,
    confirmed,
    rounding,
    simulate_policy,
)
from baselines.core.decision import Decision
from baselines.core.disagreements import Disagreement
from baselines.core.exploration import Exploration
from baselines.core.family import Family
from baselines.core.optimum import Optimum
from baselines.core.plan import Plan
from baselines.core.references import NoPlanError, References
from baselines.core.scoring import Worth
from baselines.lot.belief import reach
from baselines.lot.decisions import action_in_words, decision, decisions, results_in_words
from baselines.lot.disagreements import find_disagreements
from baselines.lot.evaluation import (
    PRECISION,
    ResultRule,
    Rule,
    RuleCosts,
    as_rule,
    evaluate_beliefs,
    evaluate_results,
)
from baselines.lot.exploration import explore
from baselines.lot.plan import plan
from baselines.lot.policies import LotPolicy, lot_policy, random_policy
from baselines.lot.probe import probe
from baselines.lot.reference import designs
from baselines.lot.sizes import LotSizes, fixed_cost, lot_of, production_cost
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import DesignedPolicy, Player
from qc_gym.core.vector import QCVectorEnv
from qc_gym.lot.env import InspectOrStopEnv, InspectOrStopVectorEnv
from qc_gym.lot.scenario import InspectOrStopScenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RARE = 1e-18
_CHECKED = 1e-3
"""Precision of the check of each optimum: its time stays below that of solving."""
EXACT = 1e-4
"""Bound on the error of a computed cost, as a share of it, above which a policy is simulated."""
_ANY_SEEN = np.random.default_rng(0).random((16, 5)).astype(np.float32)
"""Whatever observations, float32 (16, 5), to tell what wrappers make of them."""


class Cost(NamedTuple):
    """Expected cost of a policy, a bound on its error (money), and expected number of decisions."""

    cost: float
    tolerance: float
    decisions: float


@dataclass(frozen=True, eq=False, repr=False)
class LotOptimum(Optimum[InspectOrStopScenario]):
    """The optimum of an inspect-or-stop environment, between certified bounds.

    Attributes
    ----------
    scenario, observation
        What was solved.
    sizes
        Brackets and total costs of all lot sizes.
    value, lower, upper
        Optimal expected return of an episode, in money, and bounds on it, at most 1e-8 of it apart.
        ``value`` is the upper bound: a regret is then never negative, and at most
        ``upper − lower`` too large.
    policy
        The optimal policy: the best lot size, and a threshold on the belief for each (n, d).
    certificate
        The width of the bracket; :meth:`certify` adds a simulation.
    """

    scenario: InspectOrStopScenario
    observation: str
    sizes: LotSizes

    @cached_property
    def lower(self) -> float:
        """Lower bound on the optimal value, in money."""
        return 0.0 - self.sizes.best().upper  # no −0.0

    @cached_property
    def upper(self) -> float:
        """Upper bound on the optimal value, in money."""
        return 0.0 - self.sizes.best().lower

    @property
    def value(self) -> float:
        """The optimal value, in money: its upper bound."""
        return self.upper

    @property
    def best_size(self) -> int:
        """The lot size of the optimal policy."""
        return self.sizes.best().size

    @cached_property
    def policy(self) -> LotPolicy:
        """The optimal policy."""
        return lot_policy(self.scenario, self.observation, self.best_size, self.thresholds)

    @cached_property
    def certificate(self) -> Certificate:
        """The evidence: both bounds meet the optimality equation, as inequalities, to the width."""
        width = self.upper - self.lower
        return Certificate(width, self.value, self.stakes, width=width, span=self.span)

    def thresholds(self, size: int) -> NDArray[np.float64]:
        """Return the belief from which on inspecting is optimal in a lot, (size, found).

        After n units of which k were found conforming. Infinite where stopping is right at every
        belief that can come, or none can, 0 where inspecting is.
        """
        bounds = self.sizes.bracket(size)
        low, high, _ = reach(bounds.lot)
        surely_stop, surely_inspect = bounds.thresholds
        thresholds = np.where(low >= surely_inspect, 0.0, surely_inspect)
        # A bound of 0 says that there is no belief at which stopping is certainly right.
        stops = (high <= surely_stop) & (surely_stop > 0.0)
        thresholds[stops | (low > high)] = np.inf
        n, k = np.indices((size, bounds.lot.demand))
        return thresholds[n, np.minimum(bounds.lot.demand - k, size - n)]

    def cost(self, policy: LotPolicy) -> Cost:
        """Return what a lot policy costs: the exact chain of counts, or cells of beliefs."""
        chances = policy.sizes
        if self.scenario.lot_size is not None:
            return self.lot_cost(self.scenario.lot_size, policy.rule_of(self.scenario.lot_size))
        total = np.zeros(3)
        for size in np.flatnonzero(chances > _RARE):
            total += chances[size] * np.array(self.lot_cost(int(size), policy.rule_of(int(size))))
        return Cost(*total.tolist())

    def costs_by_size(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the total cost of every lot size under a rule that does not depend on it.

        Parameters
        ----------
        table
            The rule's table for the longest lot; see :class:`~baselines.lot.policies.LotPolicy`.
        """
        longest = self.scenario.longest_lot
        found = self._evaluate(longest, as_rule(table))
        beyond = fixed_cost(self.scenario, longest) - production_cost(self.scenario, longest)
        production = [production_cost(self.scenario, size) for size in range(longest + 1)]
        return found.costs + np.array(production) + beyond

    def lot_cost(self, size: int, rule: Rule, precision: float = PRECISION) -> Cost:
        """Return the total cost of a lot that is produced, if it is not given, and inspected.

        Parameters
        ----------
        precision
            Error of the cost of inspection, as a share of it, that is good enough.
        """
        decisions = float(size + 1) if self.scenario.lot_size is None else 0.0
        fixed = fixed_cost(self.scenario, size)
        if size == 0:
            return Cost(fixed, 0.0, decisions)
        found = self._evaluate(size, rule, precision)
        return Cost(fixed + float(found.costs[-1]), found.tolerance, decisions + found.decisions)

    def _evaluate(self, size: int, rule: Rule, precision: float = PRECISION) -> RuleCosts:
        if isinstance(rule, ResultRule):  # needs no bracket
            return evaluate_results(lot_of(self.scenario, size), rule)
        return evaluate_beliefs(self.sizes.bracket(size), rule, precision)

    @cached_property
    def random_value(self) -> float:
        """The value of uniformly random play over the allowed actions, in money."""
        return -self.cost(random_policy(self.scenario, self.observation)).cost

    @property
    def stakes(self) -> float:
        """The money that may be lost: the lot, the whole demand, and what all of it costs if returned."""
        scenario = self.scenario
        lot = production_cost(scenario, self.best_size)
        returned = scenario.warranty_cost * scenario.miss * scenario.demand
        return lot + scenario.shortage_cost * scenario.demand + returned

    @property
    def span(self) -> float:
        """By how much the returns of two episodes of the optimal policy can differ, in money."""
        scenario, size = self.scenario, self.best_size
        inspects = bool(np.isfinite(self.thresholds(size)).any()) if size > 0 else False
        inspection = scenario.inspection_cost * size * inspects
        returned = scenario.warranty_cost * min(scenario.demand, size) * (scenario.miss > 0.0)
        return (
            scenario.shortage_cost * min(scenario.demand, size) + inspection + returned * inspects
        )

    @property
    def longest_episode(self) -> int:
        """The most decisions that an episode can have: each unit produced, then inspected, and a stop."""
        longest = self.scenario.longest_lot
        return longest if self.scenario.lot_size is not None else 2 * longest + 1

    def check(self) -> None:
        """Raise an OracleError unless the optimal policy costs what the bounds say."""
        cost = self.lot_cost(self.best_size, self.policy.rule_of(self.best_size), _CHECKED)
        slack = cost.tolerance + (self.upper - self.lower) + rounding(self.stakes)
        if not abs(self.value + cost.cost) <= slack:
            raise OracleError(
                f"the optimal policy earns {-cost.cost!r} and the optimal value is {self.value!r}"
            )

    def evaluate(self, player: Player) -> Worth | None:
        """Return what a policy without memory loses, or None for one that must be simulated.

        Computed, with ``tolerance`` bounding the error, for the policies of this package and for every
        other that does not draw its actions (:func:`baselines.lot.probe.probe` states what
        that rests on). None for one with memory, one that draws, and one whose error has
        no bound below ``EXACT`` of its cost.
        """
        policy = player.policy
        if isinstance(policy, LotPolicy) and self._is_own(policy) and player.is_direct(_ANY_SEEN):
            cost = self.cost(policy if player.stands else _likeliest(policy))
        else:
            if not player.deterministic:
                return None
            plan = probe(player, self.scenario, self.observation)
            if plan is None:
                return None
            cost = self.lot_cost(*plan)
        if cost.tolerance > EXACT * cost.cost:
            return None
        regret = self.value + cost.cost
        slack = cost.tolerance + rounding(self.stakes + cost.cost)
        if regret < -slack:
            raise OracleError(f"regret {regret!r} is negative by more than its error {slack!r}")
        return Worth(regret, cost.decisions, tolerance=cost.tolerance)

    def _is_own(self, policy: LotPolicy) -> bool:
        """Return whether a policy was made for this scenario, seen as it is here."""
        return policy.scenario == self.scenario and policy.observation == self.observation

    def gaps(self, states: NDArray[np.void], actions: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return V*(s) − Q*(s, a) at states of the environment, records (n,), and actions (n,)."""
        gaps = np.zeros(len(states))
        for i in np.flatnonzero(states["is_producing"]):
            gaps[i] = self._production_gap(int(states["lot_size"][i]), int(actions[i]))
        for size in np.unique(states["lot_size"][~states["is_producing"]]):
            here = (states["lot_size"] == size) & ~states["is_producing"]
            of = states[here]
            costs = (
                self.sizes.bracket(int(size)).action_costs(of["n"], of["d"], of["b"]).mean(axis=2)
            )
            gaps[here] = costs[np.arange(len(of)), actions[here]] - costs.min(axis=1)
        return gaps

    def _production_gap(self, size: int, action: int) -> float:
        """Return what ending production at a size, or going on, costs above the better of both."""
        end = self.sizes.bounds(size)[1]
        if size == self.scenario.longest_lot:
            return 0.0  # both end it
        on = self.sizes.best(size + 1).upper
        return (on if action else end) - min(on, end)

    def certify(self, episodes: int, seed: int) -> Certificate:
        """Return the certificate with a simulation of the optimal policy added."""
        episodes, seed = whole_number("episodes", episodes, 2), whole_number("seed", seed, 0)
        player = Player(self.policy, 2)

        def simulation(factor: int, added: int) -> Simulation:
            env = InspectOrStopVectorEnv(factor * episodes, self.scenario, self.observation)
            return simulate_policy(player, env, seed + added)

        return confirmed(self.certificate, simulation)

    @property
    def resolution(self) -> float:
        """The money by which two actions must differ to be told apart: the width of the bounds."""
        return self.upper - self.lower + rounding(self.stakes)

    def decisions(self, least: float) -> list[Decision]:
        """Return the lot size, and inspect or stop after the results that ``least`` of all lots show."""
        return decisions(self, least)

    def same_decision(self, state: Any, home: Self) -> Decision | None:
        """Return what is decided after the same results of a lot of the same size."""
        return decision(self, state)

    def describe_state(self, state: Any) -> str:
        """Return in words what was seen of the lot."""
        return results_in_words(state)

    def describe_action(self, state: Any, action: int) -> str:
        """Return in words what an action does: a lot size, inspecting or stopping."""
        return action_in_words(state, action)

    def carried(self, policy: DesignedPolicy) -> DesignedPolicy:
        """Return a lot policy as it plays here: the same lot, and the same rule on what is now believed.

        Raises
        ------
        NoPlanError
            It was made for another demand or lot, or its lot cannot be produced here.
        """
        if not isinstance(policy, LotPolicy) or policy.scenario == self.scenario:
            return policy
        for name in ("demand", "lot_size"):
            made, here = getattr(policy.scenario, name), getattr(self.scenario, name)
            if made != here:
                raise NoPlanError(f"made for {name} = {made}, it does not say what to do at {here}")
        sizes = np.zeros(self.scenario.longest_lot + 1)
        common = min(len(sizes), len(policy.sizes))
        sizes[:common] = policy.sizes[:common]
        if self.scenario.lot_size is None and sizes.sum() < 1.0 - rounding(1.0):
            longest = int(np.flatnonzero(policy.sizes).max())
            raise NoPlanError(
                f"its lot of {longest} units is more than max_lot_size = {self.scenario.longest_lot}"
            )
        return replace(policy, plays=self.scenario, observation=self.observation, sizes=sizes)

    def disagreements(
        self, player: Player, arena: QCVectorEnv, episodes: int, seed: int, top: int
    ) -> list[Disagreement]:
        """Return the costliest disagreements of a policy, along simulated episodes."""
        return find_disagreements(self, player, arena, episodes, seed)[:top]

    def references(self) -> References:
        """Return ``random``, ``best_constant`` and the policies of practice and of the paper."""
        return References(designs(self))

    def plan(self) -> Plan:
        """Return the optimum as a card that a foreman follows by counting."""
        return plan(self)

    def exploration(self, title: str, subtitle: str, player: Player | None) -> Exploration:
        """Return the beliefs as a page to explore; see :mod:`baselines.lot.exploration`."""
        return explore(self, title, subtitle, player)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return the thresholds, the averaged belief and the total costs."""
        from baselines.lot.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: InspectOrStopScenario, observation: str = "belief") -> LotOptimum:
    """Return the optimum of an inspect-or-stop environment."""
    return LotOptimum(scenario, observation, LotSizes(scenario))


FAMILY = Family(InspectOrStopEnv, solve)


def _likeliest(policy: LotPolicy) -> LotPolicy:
    """Return the policy that takes the likelier action wherever the given one draws."""
    grown = policy._producing(np.arange(len(policy.sizes))) > 0.5
    sizes = np.zeros(len(policy.sizes))
    sizes[int(np.argmin(grown))] = 1.0

    def rule(size: int) -> NDArray[np.float64]:
        table = policy.rule(size)
        return table if table.ndim == 2 else (table > 0.5).astype(np.float64)

    return replace(policy, sizes=sizes, rule=rule)
