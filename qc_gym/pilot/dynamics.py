"""The world of the pilot run: three unknown defect rates, tests that tell of them, and one commitment.

The product is assembled from two parts. A *static plan* says for a whole order whether new parts 1 and
2 are inspected, whether the product is, and whether a bad product is dismantled or scrapped; recovered
parts not known to be good are always inspected.

**What a plan costs.** Let p1, p2, q be the three rates, g = 1 / (1 − rate), and let a part that the
plan does not inspect when new be called blind.

A plan that scraps starts every attempt from nothing. With s the probability that an attempt succeeds
and l the return loss where the product is not inspected, a good unit costs (attempt + l) / s − l, and
1 / s is the product of g of the product and of the blind parts.

A plan that dismantles keeps what was found good. A blind part k is bought X_k more times,
P(X_k > r) = p_k^(r + 1), and the number of failed builds is Y = max X_k over the blind parts + G,
P(G = n) = (1 − q) q^n. Part k is inspected min(Y, X_k + 1) = X_k + 1 − 1{Y = X_k} times, where
P(Y = X_k) = (1 − q) P(X_j ≤ X_k).

So every cost is a sum of products of seven numbers, :class:`Moments`, no two factors of which
depend on the same rate; its expectation over independent rates is the same sum of their expectations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.lattice import row_start
from qc_gym.core.noise import beta_variate, uniform

NODES = 3
"""Part 1, part 2 and the product, in this order everywhere."""
PLANS = 16
INSPECT_1, INSPECT_2, INSPECT_PRODUCT, DISMANTLE = 8, 4, 2, 1
"""The bits of a plan's number."""
COMMIT = NODES
"""The first action that commits: ``COMMIT + p`` to plan p."""
NUM_ACTIONS = NODES + PLANS
FEATURES = 4
BELIEF_SIZE = FEATURES * NODES
OUTCOME_SIZE = NODES + 2
NO_TEST = -1
OUTCOMES = 1 + 2 * NODES
"""What the last test can have been: none, or one of a node with either result."""
_HIGHEST_RATE = 1.0 - 2.0**-53

SCENARIO = np.dtype(
    [
        # Of each node: a Beta prior, or, where is_known, the rate.
        ("a", np.float64, NODES),
        ("b", np.float64, NODES),
        ("is_known", np.uint8, NODES),
        ("defect_rate", np.float64, NODES),
        ("make_cost", np.float64, NODES),  # to buy a part, to assemble the product
        ("inspection_cost", np.float64, NODES),
        ("sample_cost", np.float64, NODES),
        ("max_samples", np.int64, NODES),
        ("scale", np.float64, NODES),  # 1 / max_samples; 0 where nothing may be tested
        ("total_scale", np.float64),  # 1 / the sum of max_samples
        ("dismantle_cost", np.float64),
        ("return_loss", np.float64),
        ("price", np.float64),
        ("order_size", np.float64),
    ],
    align=True,
)

STATE = np.dtype(
    [
        ("n", np.int64, NODES),  # tested so far
        ("d", np.int64, NODES),  # of these, defective
        ("last_tested", np.int64),  # the node of the last test, or NO_TEST
        ("last_defective", np.bool_),
        # The truth, hidden from every observation:
        ("rate", np.float64, NODES),
    ],
    align=True,
)


class Moments(NamedTuple):
    """What the cost of a plan depends on: numbers at given rates, or their expectations.

    Attributes
    ----------
    tries_1, tries_2, tries_product
        g of each node: 1 / (1 − rate).
    good_product
        1 − q.
    both
        p1 p2 / (1 − p1 p2), the mean of min(X_1, X_2).
    last_1, last_2
        P(X_2 ≤ X_1) = (1 − p2) / (1 − p1 p2), and P(X_1 ≤ X_2).
    """

    tries_1: float
    tries_2: float
    tries_product: float
    good_product: float
    both: float
    last_1: float
    last_2: float


@njit(error_model="numpy")
def moments_at(rate_1, rate_2, rate_product):
    """Return the moments at given rates, all below 1."""
    good_1, good_2, good_product = 1.0 - rate_1, 1.0 - rate_2, 1.0 - rate_product
    some_good = good_1 + rate_1 * good_2  # 1 − p1 p2, without cancellation
    return Moments(
        1.0 / good_1,
        1.0 / good_2,
        1.0 / good_product,
        good_product,
        rate_1 * rate_2 / some_good,
        good_2 / some_good,
        good_1 / some_good,
    )


@njit(error_model="numpy")
def plan_cost(scenario, plan, moments):
    """Return what a plan spends on a good unit, in money."""
    blind_1, blind_2 = (plan & INSPECT_1) == 0, (plan & INSPECT_2) == 0
    g1, g2, gq = moments.tries_1, moments.tries_2, moments.tries_product
    part_1, part_2 = scenario.make_cost[0], scenario.make_cost[1]
    new_1 = part_1 if blind_1 else (part_1 + scenario.inspection_cost[0]) * g1
    new_2 = part_2 if blind_2 else (part_2 + scenario.inspection_cost[1]) * g2
    build, loss = scenario.make_cost[2], scenario.return_loss
    if plan & INSPECT_PRODUCT:
        build, loss = build + scenario.inspection_cost[2], 0.0
    tries_1, tries_2 = g1 if blind_1 else 1.0, g2 if blind_2 else 1.0
    if not plan & DISMANTLE:
        # (new_1 + new_2 + build + loss) / s − loss; new_k and tries_k share no rate.
        return (new_1 + new_2 + build + loss) * tries_1 * tries_2 * gq - loss
    failures = (tries_1 - 1.0) + (tries_2 - 1.0) + (gq - 1.0)
    last_1, last_2 = 1.0, 1.0
    if blind_1 and blind_2:
        failures -= moments.both
        last_1, last_2 = moments.last_1, moments.last_2
    cost = new_1 + new_2 + build * (failures + 1.0)
    cost += (scenario.dismantle_cost + loss) * failures
    if blind_1:
        cost += part_1 * (g1 - 1.0)
        cost += scenario.inspection_cost[0] * (g1 - moments.good_product * last_1)
    if blind_2:
        cost += part_2 * (g2 - 1.0)
        cost += scenario.inspection_cost[1] * (g2 - moments.good_product * last_2)
    return cost


@njit(error_model="numpy")
def order_profit(scenario, plan, moments):
    """Return what a plan earns on the whole order, in money."""
    return scenario.order_size * (scenario.price - plan_cost(scenario, plan, moments))


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Draw the true rates."""
    for k in range(NODES):
        state.n[k] = 0
        state.d[k] = 0
        if scenario.is_known[k]:
            state.rate[k] = scenario.defect_rate[k]
        else:
            state.rate[k] = min(beta_variate(noise, scenario.a[k], scenario.b[k]), _HIGHEST_RATE)
    state.last_tested = NO_TEST
    state.last_defective = False


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Test one more item, or commit to a plan. Return (reward, terminated)."""
    if action < COMMIT and state.n[action] < scenario.max_samples[action]:
        found = uniform(noise) < state.rate[action]
        state.n[action] += 1
        state.d[action] += np.int64(found)
        state.last_tested = action
        state.last_defective = found
        return 0.0 - scenario.sample_cost[action], False
    plan = max(action - COMMIT, 0)
    moments = moments_at(state.rate[0], state.rate[1], state.rate[2])
    return order_profit(scenario, plan, moments), True


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    """Write for each node n, d (both over max_samples), the posterior's mean and twice its deviation."""
    for k in range(NODES):
        mean, deviation = scenario.defect_rate[k], 0.0
        if not scenario.is_known[k]:
            a = scenario.a[k] + state.d[k]
            size = scenario.a[k] + scenario.b[k] + state.n[k]
            mean = a / size
            deviation = math.sqrt(mean * (1.0 - mean) / (size + 1.0))
        out[FEATURES * k] = state.n[k] * scenario.scale[k]
        out[FEATURES * k + 1] = state.d[k] * scenario.scale[k]
        out[FEATURES * k + 2] = mean
        out[FEATURES * k + 3] = 2.0 * deviation


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write which node was tested last, whether it was defective, and the share of the tests made."""
    for k in range(NODES):
        out[k] = state.last_tested == k
    out[NODES] = state.last_defective
    out[NODES + 1] = (state.n[0] + state.n[1] + state.n[2]) * scenario.total_scale


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    """Write which actions are allowed."""
    for action in range(NUM_ACTIONS):
        mask[action] = 1
    for k in range(NODES):
        mask[k] = state.n[k] < scenario.max_samples[k]


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it.

    With belief observations the row of the counts on the lattice, the product of a triangle (n, d) for
    each node, the last fastest; with outcome observations the last test splits it.
    """
    row = np.int64(0)
    for k in range(NODES):
        size = row_start(scenario.max_samples[k] + 1)
        row = row * size + row_start(state.n[k]) + state.d[k]
    if outcome:
        row *= OUTCOMES
        if state.last_tested != NO_TEST:
            row += 1 + 2 * state.last_tested + np.int64(state.last_defective)
    return row


KERNEL = bind(globals())
