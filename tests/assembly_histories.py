"""Assembly by brute force: every history, with a filter over what may be true of each item.

Written from the description of the problem and not from its solution: the belief is the distribution
over which of the present items are bad, conditioned on each event in exact fractions. Nothing is known
here of nested sets, growth or likelihoods. Histories that leave the same belief are valued once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from qc_gym.assembly.scenario import AssemblyScenario

Truth = frozenset[str]
"""The present items that are bad."""
UNVERIFIED = {"new", "recovered", "used"}


class Moment(NamedTuple):
    """A world at a question, as the key of the histories that lead to it."""

    status: tuple[tuple[str, str], ...]
    belief: tuple[tuple[Truth, Fraction], ...]
    own: tuple[tuple[str, Fraction], ...]
    failures: tuple[tuple[str, int], ...]


class Outcome(NamedTuple):
    """One thing that may follow an answer; ``following`` is None where the episode ends."""

    chance: Fraction
    reward: float
    following: Moment | None
    failed: int


@dataclass
class World:
    """What is there and what is known; absent items are in none of it.

    ``status``: new, recovered, used, good or bad. ``belief``: P(truth). ``own``: P(bad) of an item
    when it was made. ``failures``: of an assembly's present set of children.
    """

    status: dict[str, str] = field(default_factory=dict)
    belief: dict[Truth, Fraction] = field(default_factory=lambda: {frozenset(): Fraction(1)})
    own: dict[str, Fraction] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    @classmethod
    def at(cls, moment: Moment) -> World:
        return cls(*(dict(part) for part in moment))

    def frozen(self) -> Moment:
        return Moment(
            tuple(sorted(self.status.items())),
            tuple(sorted(self.belief.items(), key=lambda pair: sorted(pair[0]))),
            tuple(sorted(pair for pair in self.own.items() if self.status[pair[0]] in UNVERIFIED)),
            tuple(sorted(self.failures.items())),
        )

    def probability(self, name: str) -> Fraction:
        """Return P(the item is bad)."""
        return sum((share for truth, share in self.belief.items() if name in truth), Fraction(0))

    def learn(self, event: Callable[[Truth], bool]) -> None:
        """Condition the belief on an event."""
        kept = {truth: share for truth, share in self.belief.items() if event(truth)}
        total = sum(kept.values(), Fraction(0))
        self.belief = {truth: share / total for truth, share in kept.items()}

    def belief_without(self, names: set[str]) -> dict[Truth, Fraction]:
        """Return the belief about the other items."""
        rest: dict[Truth, Fraction] = {}
        for truth, share in self.belief.items():
            rest[truth - names] = rest.get(truth - names, Fraction(0)) + share
        return rest

    def remove(self, names: set[str]) -> None:
        """Let items be absent."""
        self.belief = self.belief_without(names)
        for name in names:
            for part in (self.status, self.own, self.failures):
                part.pop(name, None)


class Histories:
    """The decision problem of a scenario, with its defect rates as fractions."""

    def __init__(self, scenario: AssemblyScenario) -> None:
        self.scenario, self.nodes = scenario, scenario.nodes
        self.root = scenario.order[-1]
        self.rates = {name: Fraction(str(node.defect_rate)) for name, node in self.nodes.items()}

    def bracket(self, most_failures: int, low: float) -> tuple[float, float]:
        """Return bounds on the optimum: at one failure more the rest is worth ``low``, or the price."""
        start, cost = self._make(self.scenario.order[0], World())
        low, high = (self._value(start, most_failures, last) for last in (low, self.scenario.price))
        return low - cost, high - cost

    def _value(self, start: Moment, most_failures: int, last: float) -> float:
        @cache
        def value(moment: Moment, left: int) -> float:
            return max(sum(worth(outcome, left) for outcome in a) for a in self._answers(moment))

        def worth(outcome: Outcome, left: int) -> float:
            rest = last
            if outcome.following is None:
                rest = 0.0
            elif left >= outcome.failed:
                rest = value(outcome.following, left - outcome.failed)
            return float(outcome.chance) * (outcome.reward + rest)

        for left in range(most_failures):  # upwards, so that no recursion is deep
            value(start, left)
        return value(start, most_failures)

    def _answers(self, moment: Moment) -> Iterator[list[Outcome]]:
        """Yield what may follow each answer to the question."""
        status = dict(moment.status)
        asked = next(
            name for name in self.scenario.order if status.get(name, "good") not in {"used", "good"}
        )
        if status[asked] == "bad":
            yield [self._scrap(asked, World.at(moment))]
            blind = any(status[child] != "good" for child in self._children(asked))
            failures = dict(moment.failures).get(asked, 0)
            if not blind or failures <= self.scenario.max_blind_failures:
                yield [self._dismantle(asked, World.at(moment))]
            return
        yield self._find_out(asked, moment, self.nodes[asked].inspection_cost)
        if asked == self.root:
            yield self._find_out(asked, moment, None)
            return
        world = World.at(moment)
        world.status[asked] = "used"
        yield [self._go_on(world, 0.0)]
        if status[asked] == "recovered" and self.scenario.discard_recovered:
            yield [self._scrap(asked, World.at(moment))]

    def _find_out(self, asked: str, moment: Moment, cost: float | None) -> list[Outcome]:
        """Return what follows the inspection of an item, or with cost None the customer's verdict."""
        world, outcomes = World.at(moment), []
        bad = world.probability(asked)
        if bad < 1 and asked == self.root:
            outcomes.append(Outcome(1 - bad, self.scenario.price - (cost or 0.0), None, 0))
        elif bad < 1:
            world.learn(lambda truth: asked not in truth)
            world.status |= dict.fromkeys(self._below(asked), "good")
            outcomes.append(self._go_on(world, -(cost or 0.0))._replace(chance=1 - bad))
        if bad > 0:
            world = World.at(moment)
            world.learn(lambda truth: asked in truth)
            if self._children(asked):
                world.status[asked] = "bad"
                world.failures[asked] = world.failures.get(asked, 0) + 1
            else:
                world.remove({asked})
            spent = self.scenario.return_loss if cost is None else cost
            outcomes.append(self._go_on(world, -spent)._replace(chance=bad, failed=1))
        return outcomes

    def _scrap(self, asked: str, world: World) -> Outcome:
        world.remove(self._below(asked))
        return self._go_on(world, 0.0)

    def _dismantle(self, asked: str, world: World) -> Outcome:
        failures = world.failures.get(asked, 0)
        world.remove({asked})
        world.failures[asked] = failures
        for child in self._children(asked):
            if world.status[child] == "used":
                world.status[child] = "recovered"
        return self._go_on(world, -(self.nodes[asked].dismantle_cost or 0.0))

    def _go_on(self, world: World, reward: float) -> Outcome:
        """Return the next question, with the cost of what is made before it."""
        for name in list(world.failures):
            stands = (
                world.status.get(name, "bad") != "bad"
            )  # its children are in it, not asked about
            if not stands and self._is_explained(name, world):
                del world.failures[name]
        for name in self.scenario.order:
            if name not in world.status:
                moment, cost = self._make(name, world)
                return Outcome(Fraction(1), reward - cost, moment, 0)
            if world.status[name] not in {"used", "good"}:
                break
        return Outcome(Fraction(1), reward, world.frozen(), 0)

    def _make(self, name: str, world: World) -> tuple[Moment, float]:
        children, made = self._children(name), dict[Truth, Fraction]()
        for truth, share in world.belief.items():
            rate = Fraction(1) if truth & children else self.rates[name]
            for outcome, chance in ((truth | {name}, rate), (truth, 1 - rate)):
                if chance > 0:
                    made[outcome] = share * chance
        world.belief, world.status[name] = made, "new"
        world.own[name] = world.probability(name)
        return world.frozen(), self.nodes[name].make_cost

    def _is_explained(self, name: str, world: World) -> bool:
        """Return whether the unverified children of an assembly are as bad as each was when made."""
        unverified = {
            child for child in self._children(name) if world.status.get(child) in UNVERIFIED
        }
        joint = world.belief_without(set(world.status) - unverified)
        expected = {frozenset[str](): Fraction(1)}
        for child in unverified:
            own = world.own[child]
            expected = {
                outcome: share * chance
                for truth, share in expected.items()
                for outcome, chance in ((truth | {child}, own), (truth, 1 - own))
            }
        return joint == expected

    def _children(self, name: str) -> set[str]:
        return set(self.nodes[name].children or ())

    def _below(self, name: str) -> set[str]:
        """Return an item and all that it is built from."""
        return {name}.union(*(self._below(child) for child in self._children(name)))
