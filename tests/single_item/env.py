"""``single_item/SingleItem-v0``."""

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from single_item.scenario import SingleItemScenario


class SingleItemEnv(QCEnv):
    """Use an item, throw it away, or inspect it first."""

    family = "single_item"
    scenario_type = SingleItemScenario

    def _text(self) -> str:
        return f"status {self._states[0]['status']}"


class SingleItemVectorEnv(QCVectorEnv):
    """Many items at once."""

    env_type = SingleItemEnv
