"""``qc_gym/PilotRun-v0``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from qc_gym.pilot.dynamics import COMMIT
from qc_gym.pilot.scenario import PilotRunScenario


class PilotRunEnv(QCEnv):
    """Test a few items, then fix the production plan of a whole order.

    ## Description

    A product is assembled from two parts. Its three defect rates are not known but estimated, each by
    a Beta distribution: part 1's, part 2's, and that of the assembly of two good parts. Before an
    order is produced, a pilot run may test items, one at a time and at a cost; then one production plan is
    fixed for the whole order. The problem is the fourth question of problem B of the 2024 Contemporary
    Undergraduate Mathematical Contest in Modeling (CUMCM), whose solutions put the mean rates into
    their recursion at once, seen as the decision that it is: how much to learn before committing
    (Raiffa & Schlaifer 1961).

    ## Actions: ``Discrete(19)``

    | action | meaning |
    |---|---|
    | 0, 1 | test one more of part 1, of part 2 |
    | 2 | build one more of two good parts and test it |
    | 3 + p | commit to plan p, from 0 to 15 |

    The bits of p say what the plan does: 8 inspect new parts 1, 4 inspect new parts 2, 2 inspect
    the product before it is shipped, 1 dismantle a bad product instead of scrapping it. Recovered
    parts that are not known to be good are always inspected.

    When ``max_samples`` of a node have been tested, testing it again acts as action 3, and the mask
    forbids it.

    ## Observation: ``Box(0, 1, (12,), float32)``, with ``observation="belief"``

    For part 1, part 2 and the product, k = 0, 1, 2:

    | number | meaning |
    |---|---|
    | 4 k | tested n / ``max_samples`` |
    | 4 k + 1 | of these defective d / ``max_samples`` |
    | 4 k + 2 | the expected defect rate given n and d |
    | 4 k + 3 | twice its standard deviation given n and d, 0 if the rate is known |

    With ``observation="outcome"`` it is ``Box(0, 1, (5,), float32)``: whether the last test was of part 1,
    of part 2, of a build; whether it found a defective; and the tests made / the most that may be.

    ## Reward, in money

    −``sample_cost`` of the node for each test; on commitment ``order_size`` times what the plan earns on
    a good unit *at the true rates*, in expectation: ``price`` less everything spent. (An order is long;
    its own noise is not at stake.)

    ## Start and end of an episode

    ``reset`` draws the true rates from the Beta distributions; no observation shows them. Committing
    terminates the episode; nothing truncates it.

    ## Arguments

    ``scenario``: a preset (``cumcm-1`` … ``cumcm-6``, the cases of the contest's question 2 with rates
    estimated from ten items; ``new-supplier`` and ``initial-samples``, where one part's rate is known), a
    mapping of the fields of :class:`~qc_gym.pilot.scenario.PilotRunScenario`, or a YAML or JSON file
    of them. ``observation``: ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or
    ``"human"``; the picture is what is believed of the three rates and the plan that is best at
    the mean rates, with the next step of any policy given to :meth:`show_policy`.

    ## Version history

    * v0: first version.
    """

    family = "pilot"
    scenario_type = PilotRunScenario
    _scenario: PilotRunScenario

    def _on_reset(self) -> None:
        self._committed: tuple[int, float] | None = None

    def _on_step(self, action: int, reward: float) -> None:
        if not self._is_running:
            self._committed = max(action - COMMIT, 0), reward

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.pilot import render  # matplotlib is needed for pictures only

        return render.draw_pilot(render.Moment(*self._moment()))

    def _text(self) -> str:
        from qc_gym.pilot import render

        return render.describe_pilot(render.Moment(*self._moment()))

    def _moment(self) -> tuple[PilotRunScenario, np.void, tuple[int, float] | None, int | None]:
        """Return what a picture shows, as :class:`qc_gym.pilot.render.Moment` has it."""
        advice = self._advice() if self._committed is None else None
        return self._scenario, self.state, self._committed, advice


class PilotRunVectorEnv(QCVectorEnv):
    """Many pilot runs at once; see :class:`PilotRunEnv`."""

    env_type = PilotRunEnv
