"""``qc_gym/Assembly-v0``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.env import QCEnv
from qc_gym.core.vector import QCVectorEnv


class AssemblyEnv(QCEnv):
    """Buy parts, assemble, ship; inspect what you doubt and take apart what fails.

    ## Description

    A product is a tree: its leaves are bought parts, its inner nodes assemblies, its root the
    product. Parts are bad at a known rate; an assembly is bad if one of its children is, and at a
    rate of its own if none is. One good unit is to be delivered, at the least cost. The problem is
    problem B of the 2024 Contemporary Undergraduate Mathematical Contest in Modeling (CUMCM), with
    what its published solutions leave out: **recovered parts carry what has been learnt**. When a
    product of untested parts fails, each of them is likelier bad than when it was bought;
    reassembled untested, they mostly fail again.

    ## Actions: ``Discrete(2)``, or ``Discrete(3)`` with ``discard_recovered``

    The environment asks one question at a time, depth-first, children left to right. What the
    answers mean depends on the question:

    | question | 0 | 1 |
    |---|---|---|
    | an item not known to be good is about to be used | use it as it is | inspect it |
    | the product is finished | ship it | inspect it |
    | an assembly is known to be bad | scrap it with all that is in it | dismantle it |

    Inspection is perfect. A part found bad is thrown away and another bought; a product found good
    is delivered; a bad product that was shipped comes back. Scrapping starts the assembly anew from
    nothing. Dismantling gives back the children unharmed: those not known to be good are asked
    about again, and then it is reassembled.

    When the present children of an assembly have failed together more than ``max_blind_failures``
    times, and not all of them are known to be good, answer 1 acts as 0, and the mask forbids it.

    With ``discard_recovered`` there is answer 2 to the first question, about an item that comes from a
    dismantled assembly: throw it away untested and make a new one. Elsewhere it acts as 0, and the
    mask forbids it.

    ## Observation: ``Box(0, 1, (5 n + 3,), float32)``, with ``observation="belief"``

    For a tree of n nodes; node i, from 0, children first and left to right
    (:attr:`~qc_gym.assembly.scenario.AssemblyScenario.order`):

    | number | meaning |
    |---|---|
    | 5 i | whether it is there, unverified |
    | 5 i + 1 | whether it is there, known to be good |
    | 5 i + 2 | failures of its present children / (``max_blind_failures`` + 1) |
    | 5 i + 3 | P(it is bad given all that is known), 0 if it is not there |
    | 5 i + 4 | whether it is the one asked about |
    | 5 n | whether the finished product is asked about |
    | 5 n + 1 | whether an assembly known to be bad is asked about |
    | 5 n + 2 | whether nothing has been paid yet |

    With ``discard_recovered`` a newly made item may be beside one with a past, and the observation
    goes on with 3 + ``max_blind_failures`` numbers for each node: whether it is a recovered one; how
    many of the sets of its assembly's children that failed together it is not in; and one minus the
    likelihood of each such set of its own children (:mod:`qc_gym.assembly.dynamics` says what these are).

    With ``observation="outcome"`` it is ``Box(0, 1, (n + 7,), float32)``: whether node i is the one
    asked about (n numbers); whether the finished product is, whether an assembly known to be bad is;
    whether the last answer found something good, found it bad, had it returned by the customer; the
    share of the nodes that are there; whether nothing has been paid yet.

    ## Reward, in money

    −``inspection_cost`` of what is inspected, −``dismantle_cost`` of what is taken apart,
    −``return_loss`` when the product shipped is bad, +``price`` when a good one is delivered; and
    −``purchase_cost`` or −``assembly_cost`` of what is made before the next question is asked. The
    first part, made by ``reset``, is paid for with the first answer.

    ## Start and end of an episode

    ``reset`` makes the first part. Each item's true condition is drawn when it is made and is in no
    observation. The delivery of a good product terminates the episode; nothing truncates it.

    ## Arguments

    ``scenario``: a preset (``cumcm-1`` … ``cumcm-6``, the cases of the contest's question 2;
    ``cumcm-5-discard``, case 5 with ``discard_recovered``; ``cumcm-8part``, its question 3;
    ``gearbox``, ``single-part``), a mapping of the fields of
    :class:`~qc_gym.assembly.scenario.AssemblyScenario`, or a YAML or JSON file of them. ``observation``:
    ``"belief"`` or ``"outcome"``. ``render_mode``: ``"ansi"``, ``"rgb_array"`` or ``"human"``; the
    picture is the tree with what is known of each node and the question, with the answer to it of
    any policy given to :meth:`show_policy`.

    ## Version history

    * v0: first version.
    """

    family = "assembly"
    scenario_type = AssemblyScenario
    _scenario: AssemblyScenario

    def _on_reset(self) -> None:
        self._before = self.state
        self._last: tuple[np.void, int] | None = None
        # The vector environment's pictures begin in mid-episode, where the money is not known.
        self._money = 0.0 if self._before["is_first"] else None

    def _on_step(self, action: int, reward: float) -> None:
        self._last = self._before, action
        self._before = self.state
        if self._money is not None:
            self._money += reward

    def _frame(self) -> NDArray[np.uint8]:
        from qc_gym.assembly import render  # matplotlib is needed for pictures only

        return render.draw_episode(render.Moment(*self._moment()))

    def _text(self) -> str:
        from qc_gym.assembly import render

        return render.describe_episode(render.Moment(*self._moment()))

    def _moment(self) -> tuple[Any, ...]:
        """Return what a picture shows, as :class:`qc_gym.assembly.render.Moment` has it."""
        delivered = not self._is_running
        advice = None if delivered else self._advice()
        return self._scenario, self.state, self._money, self._last, delivered, advice


class AssemblyVectorEnv(QCVectorEnv):
    """Many products at once; see :class:`AssemblyEnv`."""

    env_type = AssemblyEnv
