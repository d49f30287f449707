"""The parameters of a single item."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.fields import Money
from qc_gym.core.kernel import Kernel
from qc_gym.core.scenario import Scenario
from single_item.dynamics import KERNEL, SCENARIO


class SingleItemScenario(Scenario):
    """What a single item earns and costs.

    Attributes
    ----------
    defect_rate
        P(bad), above 0 and below 1.
    gain, loss
        Money earned with a good item, lost with a bad one.
    inspection_cost
        Money to know which it is.
    """

    defect_rate: float
    gain: Money
    loss: Money
    inspection_cost: Money

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "doubtful": {"defect_rate": 0.3, "gain": 10.0, "loss": 20.0, "inspection_cost": 1.0},
        "sure": {"defect_rate": 0.001, "gain": 10.0, "loss": 20.0, "inspection_cost": 1.0},
    }

    @property
    def kernel(self) -> Kernel:
        return KERNEL

    @property
    def action_names(self) -> tuple[str, ...]:
        return ("use", "discard", "inspect")

    def record(self) -> NDArray[np.void]:
        numbers = (self.defect_rate, self.gain, self.loss, self.inspection_cost)
        return np.array([numbers], SCENARIO)
