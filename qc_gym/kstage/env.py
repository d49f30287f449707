"""``qc_gym/KStage-v0``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from qc_gym.kstage.dynamics import UNDECIDED
from qc_gym.kstage.scenario import KStageScenario


class KStageEnv(QCEnv):
    """Decide how many stages of inspection and rework a plant runs, once for all.

    ## Description

    New items pass K stages of inspection, each followed by the rework of what it finds. They are
    pooled and packed into lots, of which samples are inspected at the source; a lot with a
    nonconforming item in its sample is re-inspected to the last item. What is found there, and what
    the customer sends back, is reworked and pooled again. More stages cost inspections and save
    rejected lots. The network is that of Yang (2010), and so is its steady state.

    Inspectors may err, in the stages, at the source and in re-inspection alike: ``false_alarm`` is the
    probability that a conforming item is judged nonconforming (and reworked for nothing, or its lot
    rejected), ``miss`` that a nonconforming one is judged conforming (and goes on). The customer finds
    every nonconforming item.

    ## Actions: ``Discrete(max_stages + 1)``

    Action K runs K stages.

    ## Observation: ``Box(0, 1, (1,), float32)``

    Whether K is still to be decided: 1 after ``reset``, 0 after the decision. Nothing is hidden, so
    that ``observation="belief"`` and ``"outcome"`` show the same. One scenario is a bandit; with a
    **range** of scenarios the numbers that vary follow, scaled to [0, 1], and an agent learns to
    decide for every plant of the range.

    ## Reward, in money

    −(``inspection_cost`` · items inspected + ``rework_cost`` · items reworked) / ``daily_demand``,
    both a day in the steady state: what an item used by the customer costs.

    ## Start and end of an episode

    The decision terminates the episode.

    ## Arguments

    ``scenario``: a preset (``blu-2010``, the case of Yang 2010; ``stubborn-defects``,
    ``clean-process``; ``tired-eyes``, whose inspectors err), a mapping of the fields of
    :class:`~qc_gym.kstage.scenario.KStageScenario`, or a YAML or JSON file of them. ``max_stages`` may
    not be a range: it is the number of actions.
    ``observation``: ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or
    ``"human"``; the picture is the network, its flows as widths and numbers once K is decided, with
    the K of any policy given to :meth:`show_policy`. Where inspectors err, what re-inspection misses
    and what it takes for nonconforming are flows of their own.

    ## Version history

    * v0: first version.
    """

    family = "kstage"
    scenario_type = KStageScenario
    _scenario: KStageScenario

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.kstage import render  # matplotlib is needed for pictures only

        return render.draw_plant(self._scenario, *self._moment())

    def _text(self) -> str:
        from qc_gym.kstage import render

        return render.describe_plant(self._scenario, *self._moment())

    def _moment(self) -> tuple[int | None, int | None]:
        """Return K, or None while it is undecided, and the K of the policy shown, or None."""
        stages = int(self._states[0]["stages"])
        return (None, self._advice()) if stages == UNDECIDED else (stages, None)


class KStageVectorEnv(QCVectorEnv):
    """Many plants at once; see :class:`KStageEnv`."""

    env_type = KStageEnv
