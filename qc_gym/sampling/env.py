"""``qc_gym/SequentialSampling-v0``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from qc_gym.sampling import dynamics
from qc_gym.sampling.scenario import SequentialSamplingScenario


class SequentialSamplingEnv(QCEnv):
    """Accept a lot, reject it, or inspect one more item first.

    ## Description

    A supplier's lot has an unknown fraction defective p. Items are inspected one at a time, at a
    cost; at any moment the lot can be accepted or rejected, and a wrong decision is a loss. The
    problem is Wald's sequential test seen as a decision problem (Wald 1947; Arrow, Blackwell &
    Girshick 1949). Inspectors may err (``false_alarm``, ``miss``): all that is seen are judgements,
    and a loss is of what the lot truly is.

    ## Actions: ``Discrete(3)``

    | action | meaning |
    |---|---|
    | 0 | inspect one more item |
    | 1 | accept the lot |
    | 2 | reject the lot |

    When ``max_samples`` items have been inspected, action 0 acts as 2, and the mask forbids it.

    ## Observation: ``Box(0, 1, (4,), float32)``, with ``observation="belief"``

    | number | meaning |
    |---|---|
    | 0 | items inspected n / ``max_samples`` |
    | 1 | of these judged defective d / ``max_samples`` |
    | 2 | P(the lot is bad given n and d) |
    | 3 | P(the next item is judged defective given n and d) |

    With ``observation="outcome"`` it is ``Box(0, 1, (3,), float32)``: n / ``max_samples``, whether
    the last item was judged conforming, whether defective (both 0 before the first).

    ## Reward, in money

    −``inspection_cost`` for each item inspected; −``accept_bad_cost`` for accepting a bad lot,
    −``reject_good_cost`` for rejecting a good one, 0 for a right decision. With ``loss="linear"``
    the two losses are multiplied by |p − ``limit``|.

    ## Start and end of an episode

    ``reset`` draws the true quality of the lot, which no observation shows. Accepting or
    rejecting terminates the episode; nothing truncates it.

    ## Arguments

    ``scenario``: a preset (``aql10-rql20``, ``aql10-beta``, ``lot-200``, ``aql1-rql5``,
    ``lot-500-linear``, ``small-lot``, and with inspectors who err ``tired-eyes``, ``worn-gauge``), a
    mapping of the fields of
    :class:`~qc_gym.sampling.scenario.SequentialSamplingScenario`, or a YAML or JSON file of them.
    ``observation``: ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or
    ``"human"``; the picture is the (n, d) plane with Wald's lines and the path so far, and with
    the decision regions of any policy given to :meth:`show_policy`.

    ## Version history

    * v0: first version.
    """

    family = "sampling"
    scenario_type = SequentialSamplingScenario
    forbidden_acts_as = dynamics.REJECT
    _scenario: SequentialSamplingScenario

    def _on_reset(self) -> None:
        self._path = [(int(self._states[0]["n"]), int(self._states[0]["d"]))]
        self._decision: int | None = None
        # Nothing yet after a reset; the vector environment's pictures begin in mid-episode.
        self._money = 0.0 - self._scenario.inspection_cost * self._path[0][0]

    def _on_step(self, action: int, reward: float) -> None:
        self._money += reward
        position = int(self._states[0]["n"]), int(self._states[0]["d"])
        if position != self._path[-1]:
            self._path.append(position)
        else:
            self._decision = dynamics.ACCEPT if action == dynamics.ACCEPT else dynamics.REJECT

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.sampling import render  # matplotlib is needed for pictures only

        regions = self._regions(*render.window(self._scenario, self._path).lattice())
        return render.draw_episode(self._scenario, self._path, self._decision, self._money, regions)

    def _text(self) -> str:
        from qc_gym.sampling.render import describe_episode

        return describe_episode(self._scenario, self._path, self._decision, self._money)

    def _regions(
        self, inspected: NDArray[np.int64], defective: NDArray[np.int64]
    ) -> NDArray[np.int64] | None:
        """Return the action of the policy shown at each (n, d), −1 where d > n.

        Shape (len(inspected), len(defective)).
        """
        n, d = np.meshgrid(inspected, defective, indexing="ij")
        possible = d <= n
        states = np.zeros(int(possible.sum()), self.kernel.state_dtype)
        states["n"], states["d"] = n[possible], d[possible]
        answers = self._answers(states)
        if answers is None:
            return None
        regions = np.full(n.shape, -1, np.int64)
        regions[possible] = answers
        return regions


class SequentialSamplingVectorEnv(QCVectorEnv):
    """Many lots at once; see :class:`SequentialSamplingEnv`."""

    env_type = SequentialSamplingEnv
