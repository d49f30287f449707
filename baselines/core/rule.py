"""Rules: what to do, said without a scenario."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from qc_gym.core.policy import DesignedPolicy


class Rule(ABC):
    """What a factory does whatever the numbers of a scenario, such as a sampling plan (n, c).

    It stands wherever a policy is taken, and becomes one in the scenario that is asked about.
    """

    @abstractmethod
    def policy(self, optimum: Any) -> DesignedPolicy:
        """Return the rule as a policy of the scenario of an :class:`~baselines.core.optimum.Optimum`.

        Raises
        ------
        NoPlanError
            The scenario's numbers do not allow it.
        TypeError
            A scenario of another family.
        """
