"""``qc_gym/InspectOrStop-v0``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv
from qc_gym.lot.dynamics import INSPECT
from qc_gym.lot.scenario import InspectOrStopScenario


class InspectOrStopEnv(QCEnv):
    """Inspect the next unit of a lot, or stop; and before that, how large a lot to produce.

    ## Description

    A process starts in control and goes out of control for good at an unknown unit; conforming
    units are likely before and rare after. Only inspected, conforming units can be delivered,
    against a demand. The units of the lot are inspected in the order in which they were produced
    (first produced, first inspected); after each one the inspection may stop, and what is missing
    from the demand then is lost. The problem is that of Anily & Grosfeld-Nir (2006), with an
    arbitrary distribution of the shift (Wang 2013).

    ## Actions: ``Discrete(2)``

    | action | while the lot is being produced | once there is a lot |
    |---|---|---|
    | 0 | end production | stop |
    | 1 | produce one more unit | inspect the next unit |

    With ``lot_size`` given there is no production. With ``max_lot_size`` given, it is where
    production cannot go on: action 1 acts as 0 there, and the mask forbids it.

    ## Observation: ``Box(0, 1, (5,), float32)``, with ``observation="belief"``

    L is ``lot_size``, or ``max_lot_size`` where the lot is produced first.

    | number | meaning |
    |---|---|
    | 0 | units inspected / L |
    | 1 | demand still open / ``demand`` |
    | 2 | P(the next unit was produced in control given the results), 0 after the last unit |
    | 3 | units in the lot and not inspected / L |
    | 4 | whether the lot is still being produced |

    With ``observation="outcome"`` it is ``Box(0, 1, (5,), float32)``: units inspected / L, units in
    the lot and not inspected / L, whether the last unit was judged conforming, whether it was judged
    nonconforming (both 0 before the first), whether the lot is still being produced.

    ## Reward, in money

    −``inspection_cost`` for each unit inspected, and −``warranty_cost`` if it is nonconforming and judged
    conforming, and so delivered; −``unit_cost`` for each unit produced, and
    −``setup_cost`` with the first of them: nothing produced, nothing set up; with the step that ends the
    episode −``shortage_cost`` times the demand still open. A lot that was given
    has been paid for.

    ## Start and end of an episode

    ``reset`` draws when the process goes out of control, which no observation shows; a unit's
    quality is drawn, given that truth, when it is inspected. Stopping terminates the episode; so do
    the unit that meets the demand, the last unit of the lot, and ending production with no unit
    produced. Nothing truncates it.

    ## Arguments

    ``scenario``: a preset (``weibull-30``, ``weibull-120``, ``geometric-40``, ``table-16``;
    ``lot-sizing-20`` and ``lot-sizing-200``, which begin with production; ``weibull-30-errors``, whose
    inspectors err), a mapping of the fields
    of :class:`~qc_gym.lot.scenario.InspectOrStopScenario`, or a YAML or JSON file of them. ``observation``:
    ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or ``"human"``; the
    picture is the lot with the results, and the belief from unit to unit, with the threshold below
    which any policy given to :meth:`show_policy` stops.

    ## Version history

    * v0: first version.
    """

    family = "lot"
    scenario_type = InspectOrStopScenario
    _scenario: InspectOrStopScenario

    def _on_reset(self) -> None:
        self._history = [self._states.copy()]
        # Nothing yet after a reset; the vector environment's pictures begin in mid-episode.
        self._money = self._spent_before()

    def _on_step(self, action: int, reward: float) -> None:
        self._history.append(self._states.copy())
        if self._scenario.warranty_cost == 0.0 or self._states[0]["n"] == self._history[-2][0]["n"]:
            self._money += reward
        else:  # what a nonconforming unit costs that was delivered, nobody knows yet
            self._money = self._spent_before()

    def _spent_before(self) -> float:
        """Return the money of an episode that is in the present state and has not been stopped.

        Without what nonconforming units delivered may have cost: nobody knows that yet.
        """
        scenario, state = self._scenario, self._states[0]
        money = 0.0 - scenario.inspection_cost * state["n"]
        if scenario.lot_size is None and state["lot_size"] > 0:
            money -= scenario.setup_cost + scenario.unit_cost * state["lot_size"]
        if not state["is_producing"] and (state["n"] == state["lot_size"] or state["d"] == 0):
            money -= scenario.shortage_cost * state["d"]
        return float(money)

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.lot import render  # matplotlib is needed for pictures only

        return render.draw_episode(render.Moment(*self._moment()))

    def _text(self) -> str:
        from qc_gym.lot import render

        return render.describe_episode(render.Moment(*self._moment()))

    def _moment(self) -> tuple[Any, ...]:
        """Return what a picture shows, as :class:`qc_gym.lot.render.Moment` has it."""
        history = np.concatenate(self._history)
        has_ended = not self._is_running
        advice = None if has_ended else self._answers(history[-1:])
        thresholds = self._thresholds(history, has_ended)
        return (
            self._scenario,
            history,
            self._money,
            has_ended,
            None if advice is None else int(advice[0]),
            thresholds,
        )

    def _thresholds(self, history: NDArray[np.void], has_ended: bool) -> NDArray[np.float64] | None:
        """Return the belief below which the policy shown stops, for each decision of the history.

        Shape (decisions,): 0 where it always inspects, 1 where it never does. None without a policy,
        or for one that is not a threshold on the belief.
        """
        from qc_gym.lot import render

        asked = render.decisions(history, has_ended)
        grid = np.repeat(asked, len(render.BELIEFS))
        grid["b"] = np.tile(render.BELIEFS, len(asked))
        answers = self._answers(grid)
        if answers is None:
            return None
        inspects = answers.reshape(len(asked), len(render.BELIEFS)) == INSPECT
        if np.any(inspects[:, :-1] & ~inspects[:, 1:]):
            return None
        return render.between((~inspects).sum(axis=1))


class InspectOrStopVectorEnv(QCVectorEnv):
    """Many lots at once; see :class:`InspectOrStopEnv`."""

    env_type = InspectOrStopEnv
