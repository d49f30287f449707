"""What every optimum offers, whatever it was computed by.

There are two kinds: :class:`~baselines.core.tabular.TabularOptimum`, exact on tables of decision
states, and brackets, where beliefs are a continuum and the optimum is known between certified bounds.
The generic code asks for nothing but what stands here; see :mod:`baselines.core.family` for what a
family adds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

import numpy as np
from numpy.typing import NDArray

from baselines.core.certificate import Certificate
from baselines.core.decision import Decision
from baselines.core.disagreements import Disagreement
from baselines.core.exploration import Exploration
from baselines.core.model import ScenarioT_co
from baselines.core.plan import Fact, Plan, render_card
from baselines.core.references import References
from baselines.core.scoring import Worth
from qc_gym.core.policy import DesignedPolicy, Player
from qc_gym.core.vector import QCVectorEnv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Optimum(ABC, Generic[ScenarioT_co]):
    """The optimum of an environment.

    Attributes
    ----------
    scenario, observation
        What was solved.
    """

    scenario: ScenarioT_co
    observation: str
    asks: ClassVar[tuple[str, ...]] = ()
    """Numbers that :meth:`references` takes by name, for which plans are then designed."""

    @property
    @abstractmethod
    def value(self) -> float:
        """Optimal expected return of an episode, in money."""

    @property
    @abstractmethod
    def lower(self) -> float:
        """Lower bound on it, in money; equal to it where the optimum is exact."""

    @property
    @abstractmethod
    def upper(self) -> float:
        """Upper bound on it, in money; equal to it where the optimum is exact."""

    @property
    @abstractmethod
    def policy(self) -> DesignedPolicy:
        """An optimal policy; it plays the environment through ``predict``."""

    @property
    @abstractmethod
    def certificate(self) -> Certificate:
        """The evidence, without a simulation."""

    @property
    @abstractmethod
    def random_value(self) -> float:
        """The value of uniformly random play over the allowed actions, in money."""

    @property
    @abstractmethod
    def stakes(self) -> float:
        """The money that changes hands in an episode, by which rounding is measured."""

    @property
    @abstractmethod
    def longest_episode(self) -> int | None:
        """The most decisions that an episode can have; None where there is no bound."""

    @abstractmethod
    def evaluate(self, player: Player) -> Worth | None:
        """Return what a policy loses, computed; None where it must be simulated."""

    @abstractmethod
    def gaps(self, states: NDArray[np.void], actions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return V*(s) − Q*(s, a) at states of the environment, records (n,), and actions (n,)."""

    @abstractmethod
    def disagreements(
        self, player: Player, arena: QCVectorEnv, episodes: int, seed: int, top: int
    ) -> list[Disagreement]:
        """Return the costliest disagreements of a policy from the optimum, the worst first.

        Parameters
        ----------
        arena
            A vector environment of the scenario with ``SAME_STEP`` autoreset, for what must be
            simulated.
        episodes, seed
            For that simulation.
        top
            How many at most.
        """

    @property
    @abstractmethod
    def resolution(self) -> float:
        """The money by which two actions must differ to be told apart."""

    @abstractmethod
    def decisions(self, least: float) -> Sequence[Decision]:
        """Return what is decided in the states that optimal play comes to ``least`` times or more."""

    @abstractmethod
    def same_decision(self, state: Hashable, home: Self) -> Decision | None:
        """Return what is decided in the state that ``home``, a like scenario's optimum, knows as ``state``.

        None where the scenario has no such state, or no choice in it.
        """

    @abstractmethod
    def describe_state(self, state: Any) -> str:
        """Return a state in words."""

    @abstractmethod
    def describe_action(self, state: Any, action: int) -> str:
        """Return what an action does in a state, in words."""

    @abstractmethod
    def carried(self, policy: DesignedPolicy) -> DesignedPolicy:
        """Return a policy that was made for another scenario as it plays in this one.

        Raises
        ------
        NoPlanError
            It does not say what to do here; the reason.
        """

    @abstractmethod
    def references(self) -> References:
        """Return the policies that a practitioner would use."""

    @abstractmethod
    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""

    @abstractmethod
    def exploration(self, title: str, subtitle: str, player: Player | None) -> Exploration:
        """Return the optimum as a page to explore, beside what a policy does, if one is given.

        Raises
        ------
        ValueError
            More than a page holds, by the fields that make it so; or a policy that remembers.
        """

    @abstractmethod
    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return the family's pictures of policies beside the optimum, by name."""

    @abstractmethod
    def certify(self, episodes: int, seed: int) -> Certificate:
        """Return the certificate with a simulation of the optimal policy added."""

    @abstractmethod
    def check(self) -> None:
        """Raise an OracleError unless the value of the optimal policy is the optimal value."""

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(value={self.value!r}, lower={self.lower!r}, "
            f"upper={self.upper!r}, {self.observation!r})"
        )

    def _repr_html_(self) -> str:
        width = Fact("certified to within", f"{self.upper - self.lower:.1e}", "money")
        facts = [
            Fact("optimal value", self.value, "money an episode"),
            *([width] if self.lower < self.upper else []),
            Fact("value of random play", self.random_value, "money an episode"),
            Fact("Bellman residual", f"{self.certificate.bellman_residual:.1e}", "money"),
        ]
        return render_card(f"{type(self).__name__}, {self.observation} observations", facts)
