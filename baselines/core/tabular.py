"""Optima that are exact on tables of decision states."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from baselines.core.certificate import Certificate, OracleError, confirmed, rounding, simulate
from baselines.core.correspondence import counterparts
from baselines.core.decision import Decision
from baselines.core.disagreements import Disagreement, largest_terms, simulated_flow
from baselines.core.exploration import Exploration, explore_tables, explored
from baselines.core.model import ScenarioT_co, TabularModel
from baselines.core.optimum import Optimum
from baselines.core.pages import text_of
from baselines.core.policy import TabularPolicy, constant_policy, tabulate, uniform_policy
from baselines.core.process import DecisionProcess
from baselines.core.references import NoPlanError, Reference, References
from baselines.core.scoring import Worth
from baselines.core.solver import Evaluation, Solution, bellman_residual, evaluate, solve
from baselines.core.store import Arrays
from qc_gym.core.fields import money_in
from qc_gym.core.policy import DesignedPolicy, Player
from qc_gym.core.vector import QCVectorEnv


@dataclass(frozen=True, eq=False, repr=False)
class TabularOptimum(Optimum[ScenarioT_co]):
    """The optimum of a family whose decision states are few enough for tables.

    A family subclasses it: :meth:`describe_state` and :meth:`describe_action` say its states and
    actions in words, :meth:`designs` gives its reference policies.

    Attributes
    ----------
    model
        The tables.
    solution
        Optimal values, action values and actions on them.
    """

    model: TabularModel[ScenarioT_co]
    solution: Solution

    @classmethod
    def of(cls, model: TabularModel[ScenarioT_co]) -> Self:
        """Return the optimum of tables."""
        return cls(model, solve(model))

    @classmethod
    def restored(cls, scenario: ScenarioT_co, observation: str, arrays: Arrays) -> Self:  # type: ignore[misc]
        """Return the optimum of a scenario from what :meth:`arrays` gave, bit for bit."""
        kernel = scenario.kernel
        states = arrays["states"].view(kernel.state_dtype)
        model = TabularModel(
            kernel=kernel,
            scenario=scenario,
            observation=observation,
            make_states=lambda: states,
            **_part("model", arrays),
        )
        optimum = cls(model, Solution(**_part("solution", arrays)))
        optimum.__dict__["evaluation"] = Evaluation(**_part("evaluation", arrays))
        optimum.__dict__["random_value"] = arrays["random_value"].item()
        return optimum

    def arrays(self) -> Arrays:
        """Return by name what :meth:`restored` needs: the tables, and what takes long to find on them."""
        return {
            "states": self.model.states,
            "random_value": np.array(self.random_value),
            **_arrays("model", DecisionProcess, self.model),
            **_arrays("solution", Solution, self.solution),
            **_arrays("evaluation", Evaluation, self.evaluation),
        }

    @property
    def scenario(self) -> ScenarioT_co:  # type: ignore[override]
        """The scenario solved."""
        return self.model.scenario

    @property
    def observation(self) -> str:  # type: ignore[override]
        """Which observation the environment shows."""
        return self.model.observation

    @property
    def value(self) -> float:
        """Optimal expected return of an episode, in money."""
        return self.solution.value

    @property
    def lower(self) -> float:
        """The value: it is exact."""
        return self.value

    @property
    def upper(self) -> float:
        """The value: it is exact."""
        return self.value

    @cached_property
    def policy(self) -> TabularPolicy[ScenarioT_co]:
        """An optimal policy."""
        return TabularPolicy.of(self.model, self.solution.actions)

    @cached_property
    def certificate(self) -> Certificate:
        """The Bellman residual."""
        residual = bellman_residual(self.model, self.solution)
        return Certificate(residual, self.value, self.stakes, span=self.span)

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the optimal policy earns, and how often it comes to each state."""
        return evaluate(self.model, self.policy.probabilities)

    @cached_property
    def random_value(self) -> float:
        """The value of uniformly random play over the allowed actions, in money."""
        return evaluate(self.model, uniform_policy(self.model).probabilities).value

    @property
    def stakes(self) -> float:
        """The money that the optimal policy is expected to move in an episode."""
        return self.evaluation.stakes

    @property
    def span(self) -> float:
        """By how much the returns of two episodes can differ, in money.

        All that the scenario names, once, beside what is moved on average: an episode that pays more
        holds several rare events, and is as rare as they are together.
        """
        return self.stakes + money_in(self.scenario)

    @cached_property
    def longest_episode(self) -> int | None:
        """The most decisions that an episode can have; None where states recur."""
        return self.model.longest_episode

    def check(self) -> None:
        """Raise an OracleError unless the value of the optimal policy is the optimal value."""
        found = self.evaluation.value
        if not abs(found - self.value) <= rounding(self.stakes):
            raise OracleError(
                f"the optimal policy earns {found!r} and the optimal value is {self.value!r}"
            )

    def evaluate(self, player: Player) -> Worth | None:
        """Return what a policy loses, computed; None for one with memory."""
        table = tabulate(player, self.model)
        return None if table is None else self.worth(table)

    def worth(self, table: NDArray[np.float64]) -> Worth:
        """Return what a policy loses, given as probabilities over the states, (S, A).

        Raises
        ------
        OracleError
            The regret is not Σ occupancy · gap ≥ 0.
        """
        found = evaluate(self.model, table)
        regret = self.value - found.value
        if math.isfinite(regret):
            gap = (table * self.solution.gaps()).sum(axis=1)
            reached = found.occupancy > 0
            lost = float(found.occupancy[reached] @ gap[reached])
            slack = rounding(self.stakes + found.stakes)
            if regret < -slack or abs(regret - lost) > slack:
                raise OracleError(
                    f"regret {regret!r} is negative, or is not the sum of gaps {lost!r}"
                )
        return Worth(regret, found.expected_length)

    def tables(self, policies: Mapping[str, Player]) -> dict[str, TabularPolicy[ScenarioT_co]]:
        """Return the optimum and the given policies as tables; those with memory are left out."""
        tabulated = {"optimum": self.policy}
        for name, player in policies.items():
            table = tabulate(player, self.model)
            if table is not None:
                tabulated[name] = TabularPolicy(self.model, table)
        return tabulated

    def gaps(self, states: NDArray[np.void], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return V*(s) − Q*(s, a) at states of the environment, records (n,), and actions (n,)."""
        rows = self.model.rows_of_states(states)
        return self.solution.gaps_at(rows, actions)

    def certify(self, episodes: int, seed: int) -> Certificate:
        """Return the certificate with a simulation of the optimal policy added."""
        return confirmed(
            self.certificate,
            lambda factor, added: simulate(self.policy, factor * episodes, seed + added),
        )

    def disagreements(
        self, player: Player, arena: QCVectorEnv, episodes: int, seed: int, top: int
    ) -> list[Disagreement]:
        """Return the costliest disagreements of a policy from the optimum, the worst first."""
        table = tabulate(player, self.model)
        if table is None:
            flow = simulated_flow(self.model, player, arena, episodes, seed)
        else:
            flow = evaluate(self.model, table).occupancy[:, np.newaxis] * table
        best = self.solution.actions
        return [
            Disagreement(
                state=self.describe_state(row),
                optimum=self.describe_action(row, int(best[row])),
                policy=self.describe_action(row, action),
                occupancy=occupancy,
                gap=gap,
                regret=occupancy * gap,
                share=share,
            )
            for row, action, occupancy, gap, share in largest_terms(flow, self.solution.gaps(), top)
        ]

    @property
    def resolution(self) -> float:
        """The money by which two actions must differ to be told apart."""
        # Where optimal play moves no money, what cancels still rounds.
        return rounding(self.stakes + 1e-3 * self.span)

    @property
    def visits(self) -> NDArray[np.float64]:
        """How often optimal play comes to each state, or to one that a family counts as the same, (S,)."""
        return self.evaluation.occupancy

    def decisions(self, least: float) -> list[Decision]:
        """Return what is decided in the states that optimal play comes to ``least`` times or more."""
        chosen = (self.visits >= least) & (self.model.allowed.sum(axis=1) > 1)
        return [self._decision(row) for row in np.flatnonzero(chosen).tolist()]

    def same_decision(self, state: Any, home: Self) -> Decision | None:
        """Return what is decided in the state that is row ``state`` of the tables of ``home``."""
        if home.model not in self._rows_of:
            self._rows_of[home.model] = counterparts(home.model, self.model)
        row = int(self._rows_of[home.model][state])
        return None if row < 0 or self.model.allowed[row].sum() < 2 else self._decision(row)

    @cached_property
    def _rows_of(self) -> WeakKeyDictionary[TabularModel[Any], NDArray[np.int64]]:
        """The rows of the states of other tables, as long as these are there."""
        return WeakKeyDictionary()

    def _decision(self, row: int) -> Decision:
        allowed = self.model.allowed[row]
        gaps = self.solution.gaps_at(np.full(allowed.size, row), np.arange(allowed.size))
        losses = np.where(allowed, gaps, np.inf)
        return Decision(
            state=row,
            action=int(self.solution.actions[row]),
            equals=frozenset(np.flatnonzero(losses <= self.resolution).tolist()),
            occupancy=float(self.visits[row]),
            loss=lambda action: float(losses[action]) if action < losses.size else math.inf,
        )

    def carried(self, policy: DesignedPolicy) -> DesignedPolicy:
        """Return a table as it plays here: the same actions after the same actions and results.

        Raises
        ------
        NoPlanError
            It comes to a state of which it knows nothing.
        """
        if not isinstance(policy, TabularPolicy) or policy.model is self.model:
            return policy
        rows = counterparts(self.model, policy.model)
        table, common = np.zeros_like(self.model.rewards), policy.probabilities.shape[1]
        common = min(common, self.model.num_actions)
        table[:, :common] = policy.probabilities[rows, :common]
        unknown = (rows < 0) | (table.sum(axis=1) < 1.0 - rounding(1.0))
        if unknown.any():
            # Any actions, to see whether it comes there.
            table[unknown] = uniform_policy(self.model).probabilities[unknown]
            reached = unknown & (evaluate(self.model, table).occupancy > 0.0)
            if reached.any():
                where = self.describe_state(int(reached.argmax()))
                raise NoPlanError(f"made for another scenario, it does not say what to do: {where}")
        return TabularPolicy.of(self.model, table).described(policy.description, policy.design)

    def references(self) -> References:
        """Return ``random``, ``best_constant`` and those of the family."""
        return self.all_references(self.designs())

    def all_references(self, designs: Mapping[str, Reference]) -> References:
        """Return ``random``, ``best_constant`` and those given."""
        return References(
            {
                "random": Reference(
                    "each allowed action with the same probability",
                    lambda: (uniform_policy(self.model), {}),
                ),
                "best_constant": Reference(
                    "the best policy that always takes the same action", self._best_constant
                ),
                **designs,
            }
        )

    def _best_constant(self) -> tuple[TabularPolicy[ScenarioT_co], Mapping[str, Any]]:
        constants = [
            constant_policy(self.model, action) for action in range(self.model.num_actions)
        ]
        values = [evaluate(self.model, policy.probabilities).value for policy in constants]
        best = int(np.argmax(values))
        return constants[best], {"action": best}

    def exploration(self, title: str, subtitle: str, player: Player | None) -> Exploration:
        """Return the tables as a page to explore."""
        data = explore_tables(self, player)
        held, states = len(data["states"]), self.model.num_states
        left_out = f"This page holds the {held:,} states of {states:,} that play comes to most."
        return explored(
            self,
            title,
            subtitle,
            player,
            notes=(left_out,) if held < states else (),
            data=data,
            world=text_of("baselines.core", "tables.js"),
        )

    def coordinates(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.integer]]:
        """Return whole numbers by which states are found, (n,) by name; none where they have no such."""
        return {}

    def beliefs(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.floating]]:
        """Return what is believed in states, (n,) by name, NaN where there is nothing to believe.

        None where nothing is hidden.
        """
        return {}

    @abstractmethod
    def designs(self) -> Mapping[str, Reference]:
        """Return the family's reference policies, by name."""

    @abstractmethod
    def describe_state(self, row: int) -> str:
        """Return a decision state in words."""

    @abstractmethod
    def describe_action(self, row: int, action: int) -> str:
        """Return what an action does in a decision state, in words."""


def _arrays(part: str, kind: type[Any], record: Any) -> Arrays:
    """Return the fields that a kind of record has, those that are None left out, numbers as arrays ()."""
    values = {one.name: getattr(record, one.name) for one in fields(kind)}
    return {f"{part}.{name}": np.asarray(x) for name, x in values.items() if x is not None}


def _part(part: str, arrays: Arrays) -> dict[str, Any]:
    """Return the fields of a part by name, from the arrays of all."""
    found = {
        name.removeprefix(f"{part}."): x
        for name, x in arrays.items()
        if name.startswith(f"{part}.")
    }
    return {name: x if x.ndim else x.item() for name, x in found.items()}
