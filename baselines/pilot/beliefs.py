"""What is believed of three defect rates after any counts, and what plans cost under it.

A belief is a product of independent Betas, because every test tells of one rate only. The lattice of
counts is a product of triangles (n, d), one for each node, in the order of
:func:`qc_gym.pilot.dynamics.identify`.

The cost of a plan is a sum of products of :class:`~qc_gym.pilot.dynamics.Moments` without two factors
of one rate, so that its expectation needs expectations of seven numbers. Four are closed forms of a
Beta: E[1 / (1 − p)] = (a + b − 1) / (b − 1) and E[1 − p] = b / (a + b). The other three hold
1 / (1 − p1 p2), whose singularity in the corner p1 = p2 = 1 no product of Gauss–Jacobi rules resolves
(their error falls as m^(−2 (b1 + b2 − 1)) in the number of nodes). They are summed on the logistic scale,
p = 1 / (1 + e^(−t)): there the integrand is analytic in the strip |Im t| < π and falls exponentially on
both sides, so that the trapezoidal rule converges exponentially, whatever a > 0 and b > 1 are
(Trefethen & Weideman 2014). It is done at the largest counts alone; a posterior expectation is a
martingale, so that those before are means of those after one more test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from qc_gym.core.lattice import row_start
from qc_gym.pilot.scenario import BetaRate, PilotNode, PilotRunScenario

Floats = NDArray[np.float64]
_LEAST_WEIGHT = 1e-22
_LARGEST_STEP, _STEP = 0.4, 1.25
"""Steps on the logistic scale: at most, and times the root of a + b, as wide as a likelihood is smooth."""


@dataclass(frozen=True, eq=False)
class Axis:
    """The triangle of counts of one node, T = (N + 1)(N + 2) / 2 points, and the beliefs there.

    Attributes
    ----------
    node
        The part or product.
    n, d
        int64 (T,): tested, and of these defective.
    """

    node: PilotNode
    n: NDArray[np.int64]
    d: NDArray[np.int64]

    @classmethod
    def of(cls, node: PilotNode) -> Axis:
        """Return the triangle of a node."""
        n = np.repeat(np.arange(node.max_samples + 1), np.arange(1, node.max_samples + 2))
        return cls(node, n, np.arange(len(n)) - row_start(n))

    def __len__(self) -> int:
        return len(self.n)

    @property
    def is_known(self) -> bool:
        """Whether the rate is known."""
        return not isinstance(self.node.defect_rate, BetaRate)

    @property
    def shape(self) -> tuple[Floats, Floats]:
        """A and b of the posteriors, both (T,); the rate must not be known."""
        rate = self.node.defect_rate
        assert isinstance(rate, BetaRate)
        return np.float64(rate.a) + self.d, np.float64(rate.b) + (self.n - self.d)

    @cached_property
    def mean(self) -> Floats:
        """E[p] after the counts, (T,): also the probability that the next test finds a defective."""
        if self.is_known:
            return np.full(len(self), self.node.mean_rate)
        a, b = self.shape
        return a / (a + b)

    @cached_property
    def good(self) -> Floats:
        """E[1 − p] after the counts, (T,)."""
        if self.is_known:
            return 1.0 - self.mean
        a, b = self.shape
        return b / (a + b)

    @cached_property
    def tries(self) -> Floats:
        """E[1 / (1 − p)] after the counts, (T,)."""
        if self.is_known:
            return 1.0 / self.good
        a, b = self.shape
        return (a + b - 1.0) / (b - 1.0)

    def leaves(self) -> slice:
        """Return the points of the largest n, d = 0 … n."""
        return slice(len(self) - self.node.max_samples - 1, len(self))

    def fill(self, leaves: Floats) -> Floats:
        """Return an expectation at all points, (T, …), from that at the leaves, (N + 1, …)."""
        result = np.empty((len(self), *leaves.shape[1:]))
        result[self.leaves()] = leaves
        end, extra = len(self) - self.node.max_samples - 1, (1,) * (leaves.ndim - 1)
        for n in range(self.node.max_samples - 1, -1, -1):
            begin = end - n - 1
            after = result[end : end + n + 2]
            chance = self.mean[begin:end].reshape(-1, *extra)
            result[begin:end] = (1.0 - chance) * after[:-1] + chance * after[1:]
            end = begin
        return result

    @cached_property
    def reached(self) -> Floats:
        """P(d of n are defective) before any test, (T,)."""
        result = np.ones(len(self))
        for n in range(self.node.max_samples):
            begin, end = row_start(n), row_start(n + 1)
            found = self.mean[begin:end] * result[begin:end]
            result[end : end + n + 2] = np.append(result[begin:end] - found, 0.0)
            result[end + 1 : end + n + 2] += found
        return result

    def rule(self) -> tuple[Floats, Floats, Floats]:
        """Return p, 1 − p at nodes, (m,), and the weights of p f(p) / E[p] at each leaf, (N + 1, m)."""
        rate = self.node.defect_rate
        if not isinstance(rate, BetaRate):
            return np.array([rate]), np.array([1.0 - rate]), np.ones((1, 1))
        a, b = (shape[self.leaves(), np.newaxis] for shape in self.shape)
        a = a + 1.0
        peaks = np.log(a / b)
        step = min(_LARGEST_STEP, _STEP / float(np.sqrt((a + b).max())))
        # Where p, or 1 − p, is half of that at the peak, the logarithm falls at least by a / 2, b / 2.
        low = float((np.minimum(peaks, 0.0) - 100.0 / a).min()) - 1.0
        high = float((np.maximum(peaks, 0.0) + 100.0 / b).max()) + 1.0
        t = np.arange(np.floor(low / step), np.ceil(high / step) + 1.0) * step
        log_p, log_good = -np.logaddexp(0.0, -t), -np.logaddexp(0.0, t)
        log_weights = a * log_p + b * log_good
        weights = np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True))
        used = weights.max(axis=0) > _LEAST_WEIGHT
        return np.exp(log_p[used]), np.exp(log_good[used]), weights[:, used]


@dataclass(frozen=True, eq=False)
class Beliefs:
    """The lattice of a scenario, and the expectations that its plans' costs depend on.

    Attributes
    ----------
    scenario
        The pilot run.
    axes
        The triangles of part 1, part 2 and the product, of T1, T2 and T3 points.
    """

    scenario: PilotRunScenario
    axes: tuple[Axis, Axis, Axis]

    @classmethod
    def of(cls, scenario: PilotRunScenario) -> Beliefs:
        """Return the beliefs of a scenario."""
        part_1, part_2, product = (Axis.of(node) for node in scenario.in_order)
        return cls(scenario, (part_1, part_2, product))

    def start(self) -> Beliefs:
        """Return the beliefs before any test alone."""
        one, two, product = (
            Axis.of(axis.node.model_copy(update={"max_samples": 0})) for axis in self.axes
        )
        return Beliefs(self.scenario, (one, two, product))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T1, T2, T3)."""
        one, two, three = self.axes
        return len(one), len(two), len(three)

    @property
    def strides(self) -> tuple[int, int, int]:
        """By how much the row of the lattice grows with the point of each triangle."""
        _, two, three = self.shape
        return two * three, three, 1

    @cached_property
    def coupled(self) -> tuple[Floats, Floats, Floats]:
        """E of ``both``, ``last_1`` and ``last_2`` after the parts' counts, each (T1, T2)."""
        one, two, _ = self.axes
        (p1, good_1, weights_1), (_, good_2, weights_2) = one.rule(), two.rule()
        some_good = good_1[:, np.newaxis] + p1[:, np.newaxis] * good_2  # 1 − p1 p2
        left = weights_1 @ (1.0 / some_good)
        product = np.multiply.outer(one.mean[one.leaves()], two.mean[two.leaves()])
        both = product * (left @ weights_2.T)
        # (1 − p2) / (1 − p1 p2) = (1 − p2) + (1 − p2) p1 p2 / (1 − p1 p2)
        last_1 = two.good[two.leaves()] + product * (left @ (weights_2 * good_2).T)
        left = (weights_1 * good_1) @ (1.0 / some_good)
        last_2 = one.good[one.leaves(), np.newaxis] + product * (left @ weights_2.T)
        found = [two.fill(one.fill(leaves).T).T for leaves in (both, last_1, last_2)]
        return found[0], found[1], found[2]
