"""``qc_gym/KStageControl-v0``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from qc_gym.kstage_control.scenario import KStageControlScenario


class KStageControlEnv(QCEnv):
    """Decide every day how many stages of inspection and rework a plant runs.

    ## Description

    The plant of ``qc_gym/KStage-v0`` makes items of a quality that wanders: every day the fraction
    nonconforming is that of one of several levels, which moves by a Markov chain. The level is seen at
    the start of the day, and then K is chosen. A bad day wants more stages than a good one; to
    set up or to take down a stage costs money as well. Inspectors may err, as there: ``false_alarm``
    and ``miss``.

    ## Actions: ``Discrete(max_stages + 1)``

    Action K runs K stages today.

    ## Observation: ``Box(0, 1, (L + max_stages + 2,), float32)``, with ``observation="belief"``

    For L levels:

    | number | meaning |
    |---|---|
    | 0 | days that are over / ``days`` |
    | 1 + i | whether today's level is i |
    | 1 + L + K | whether K stages were run yesterday |

    With ``observation="outcome"`` it is ``Box(0, 1, (L + 1,), float32)``, the first two lines of the
    table: what the process shows. What was run yesterday is the agent's own doing, to be
    remembered.

    ## Reward, in money

    −(what an item used costs today in the steady state, as in ``qc_gym/KStage-v0``) −
    ``changeover_cost`` · |K − yesterday's K|.

    ## Start and end of an episode

    The first day is of ``initial_level``, after one of ``initial_stages``. The episode terminates
    after ``days`` days; nothing truncates it.

    ## Arguments

    ``scenario``: a preset (``blu-quarter``, ``tool-wear``, ``two-suppliers``; ``tired-shifts``, whose
    inspectors err), a mapping of the fields of
    :class:`~qc_gym.kstage_control.scenario.KStageControlScenario`, or a YAML or JSON file of them. In
    a range neither ``max_stages`` nor the number of levels may vary.
    ``observation``: ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or
    ``"human"``; the picture is the run over the days, level above and K below, with the K of any policy
    given to :meth:`show_policy`.

    ## Version history

    * v0: first version.
    """

    family = "kstage_control"
    scenario_type = KStageControlScenario
    _scenario: KStageControlScenario

    def _on_reset(self) -> None:
        state = self._states[0]
        # The vector environment's pictures begin in mid-episode: the days before are not known.
        self._first_day = int(state["day"])
        self._levels = [int(state["level"])]
        self._stages = [int(state["stages"])]
        self._money = 0.0

    def _on_step(self, action: int, reward: float) -> None:
        self._levels.append(int(self._states[0]["level"]))
        self._stages.append(action)
        self._money += reward

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.kstage_control import render  # matplotlib is needed for pictures only

        return render.draw_run(self._scenario, render.History(*self._run()), self._next_stages())

    def _text(self) -> str:
        from qc_gym.kstage_control import render

        return render.describe_run(
            self._scenario, render.History(*self._run()), self._next_stages()
        )

    def _run(self) -> tuple[int, list[int], list[int], float | None]:
        """Return what a picture shows, as :class:`qc_gym.kstage_control.render.History` has it."""
        money = None if self._first_day else self._money
        return self._first_day, self._levels, self._stages, money

    def _next_stages(self) -> int | None:
        """Return the K of the policy shown for today, or None without one."""
        return self._advice() if self._is_running else None


class KStageControlVectorEnv(QCVectorEnv):
    """Many plants at once; see :class:`KStageControlEnv`."""

    env_type = KStageControlEnv
