"""The world of an assembly tree: buy, inspect, assemble, ship, dismantle.

Nodes are numbered children first, left to right, so that a node's subtree is the run of indices from
``first[i]`` to ``i`` and the root is the last. The question that is asked is always about the first node
that is to be made, is waiting to be used, or is known to be bad: that order is depth-first.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import uniform

USE, INSPECT = 0, 1  # an item about to be used; at the root, 0 ships it
SCRAP, DISMANTLE = 0, 1  # an assembly known to be bad
NUM_ACTIONS = 2
ABSENT, WAITING, USED, GOOD, BAD = 0, 1, 2, 3, 4
NO_RESULT, FOUND_GOOD, FOUND_BAD, RETURNED = 0, 1, 2, 3
NODE_FEATURES = 5


def scenario_dtype(size: int) -> np.dtype[np.void]:
    """Return the layout of the parameters of a tree of ``size`` nodes."""
    return np.dtype(
        [
            ("parent", np.int64, size),  # −1 at the root
            ("first", np.int64, size),  # first node of the subtree; the node itself for a part
            ("defect_rate", np.float64, size),
            ("make_cost", np.float64, size),  # of buying a part, of assembling
            ("inspection_cost", np.float64, size),
            ("dismantle_cost", np.float64, size),
            ("price", np.float64),
            ("return_loss", np.float64),
            ("max_blind_failures", np.int64),
        ],
        align=True,
    )


def state_dtype(size: int) -> np.dtype[np.void]:
    """Return the layout of the state of a tree of ``size`` nodes."""
    return np.dtype(
        [
            ("status", np.int8, size),
            # Failed builds of an assembly's present children, while that says something of them.
            ("failures", np.int8, size),
            # P(bad) of an unverified item, from all but the failures of what it was built into.
            ("prior_bad", np.float64, size),
            ("asked", np.int64),
            ("is_first", np.bool_),  # nothing has been paid yet, for the first part neither
            ("last_result", np.int8),
            ("is_bad", np.int8, size),  # the truth, hidden from every observation
        ],
        align=True,
    )


SCENARIO, STATE = scenario_dtype(3), state_dtype(3)


def belief_size(size: int) -> int:
    """Return the length of a belief observation."""
    return NODE_FEATURES * size + 3


def outcome_size(size: int) -> int:
    """Return the length of an outcome observation."""
    return size + 7


BELIEF_SIZE, OUTCOME_SIZE = belief_size(3), outcome_size(3)


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Start from nothing, and make the first part."""
    for i in range(len(state.status)):
        state.status[i] = ABSENT
        state.failures[i] = 0
        state.prior_bad[i] = 0.0
        state.is_bad[i] = 0
    state.is_first = True
    state.last_result = NO_RESULT
    advance(scenario, state, noise)


@njit(error_model="numpy")
def step(scenario, state, action, noise):
    """Answer the question. Return (reward, terminated)."""
    return answer(scenario, state, action, state.is_bad[state.asked] == 1, noise)


@njit(error_model="numpy")
def answer(scenario, state, action, is_bad, noise):
    """Answer the question when the item asked about is bad, or is good.

    The world calls it with the truth, the model with either. Return (reward, terminated).
    """
    i = state.asked
    root = len(state.status) - 1
    reward = 0.0
    if state.is_first:
        reward -= scenario.make_cost[i]
        state.is_first = False
    if state.status[i] == BAD:
        state.last_result = NO_RESULT
        if action == DISMANTLE and can_dismantle(scenario, state, i):
            reward -= scenario.dismantle_cost[i]
            dismantle(scenario, state, i)
        else:
            scrap(scenario, state, i)
    elif action == INSPECT or i == root:
        shipped = action != INSPECT
        if not shipped:
            reward -= scenario.inspection_cost[i]
        if is_bad:
            if shipped:
                reward -= scenario.return_loss
            state.last_result = RETURNED if shipped else FOUND_BAD
            find_bad(scenario, state, i)
        elif i == root:
            return reward + scenario.price, True
        else:
            state.last_result = FOUND_GOOD
            find_good(scenario, state, i)
    else:
        state.last_result = NO_RESULT
        state.status[i] = USED
    return reward - advance(scenario, state, noise), False


@njit(error_model="numpy")
def advance(scenario, state, noise):
    """Go to the next question, making what is to be made before it. Return what that costs."""
    i = 0
    while state.status[i] == USED or state.status[i] == GOOD:
        i += 1
    state.asked = i
    if state.status[i] != ABSENT:
        return 0.0
    state.status[i] = WAITING
    state.is_bad[i] = np.int8(uniform(noise) < scenario.defect_rate[i])
    all_good, _ = children_good(scenario, state, i)
    state.prior_bad[i] = 1.0 - (1.0 - scenario.defect_rate[i]) * all_good
    for j in range(scenario.first[i], i):
        if scenario.parent[j] == i:
            state.is_bad[i] |= state.is_bad[j]
    return scenario.make_cost[i]


@njit(error_model="numpy")
def children_good(scenario, state, i):
    """Return P(the present children of i are all good | its failures), and 1 / P(those failures).

    With g the product of the unverified children's own P(good), q the assembly's defect rate and k
    failures: g q^k / (g q^k + 1 − g), and 1 / (g q^k + 1 − g), by which their P(bad) grows.
    """
    good = 1.0
    for j in range(scenario.first[i], i):
        if scenario.parent[j] == i and (state.status[j] == USED or state.status[j] == WAITING):
            good *= 1.0 - state.prior_bad[j]
    failing = scenario.defect_rate[i] ** state.failures[i]
    evidence = good * failing + (1.0 - good)
    return good * failing / evidence, 1.0 / evidence


@njit(error_model="numpy")
def prob_bad(scenario, state, i):
    """Return P(item i is bad | all that is known).

    A failure of what it was built into makes it likelier bad in proportion, and so does, while that
    stands unverified in an assembly of its own, a failure of the latter.
    """
    if state.status[i] == BAD:
        return 1.0
    if state.status[i] != WAITING and state.status[i] != USED:
        return 0.0
    chance = state.prior_bad[i]
    above = scenario.parent[i]
    while above >= 0:
        _, growth = children_good(scenario, state, above)
        chance *= growth
        if state.status[above] != WAITING and state.status[above] != USED:
            break
        above = scenario.parent[above]
    return chance


@njit(error_model="numpy")
def can_dismantle(scenario, state, i):
    """Return whether the bad assembly i may be taken apart."""
    return state.failures[i] <= scenario.max_blind_failures


@njit(error_model="numpy")
def find_good(scenario, state, i):
    """Note that item i, and so all that it was built from, is good."""
    for j in range(scenario.first[i], i + 1):
        state.status[j] = GOOD
        state.failures[j] = 0
        state.prior_bad[j] = 0.0
    forget_if_verified(scenario, state, scenario.parent[i])


@njit(error_model="numpy")
def find_bad(scenario, state, i):
    """Note that item i is bad. A part is thrown away; an assembly waits for a decision."""
    parent = scenario.parent[i]
    if parent >= 0:
        state.failures[parent] = 0  # explained: the siblings go back to what they were
    state.prior_bad[i] = 0.0
    if scenario.first[i] == i:
        state.status[i] = ABSENT
        return
    state.status[i] = BAD
    state.failures[i] += 1
    forget_if_verified(scenario, state, i)


@njit(error_model="numpy")
def forget_if_verified(scenario, state, i):
    """Set the failures of assembly i to none if all its children are known to be good."""
    for j in range(scenario.first[i], i):
        if scenario.parent[j] == i and state.status[j] != GOOD:
            return
    state.failures[i] = 0


@njit(error_model="numpy")
def dismantle(scenario, state, i):
    """Take assembly i apart: what is not known to be good in it is asked about again."""
    state.status[i] = ABSENT
    for j in range(scenario.first[i], i):
        if scenario.parent[j] == i and state.status[j] == USED:
            state.status[j] = WAITING


@njit(error_model="numpy")
def scrap(scenario, state, i):
    """Throw assembly i away with all that is in it."""
    for j in range(scenario.first[i], i + 1):
        state.status[j] = ABSENT
        state.failures[j] = 0
        state.prior_bad[j] = 0.0


@njit(error_model="numpy")
def observe_belief(scenario, state, out):
    """Write five numbers for each node, the kind of question, and whether nothing is paid yet.

    A node's: unverified, known good, failures over max_blind_failures + 1, P(bad), asked about.
    The kind: whether a finished product, or an assembly known to be bad, is asked about.
    """
    size = len(state.status)
    for i in range(size):
        out[NODE_FEATURES * i] = state.status[i] == WAITING or state.status[i] == USED
        out[NODE_FEATURES * i + 1] = state.status[i] == GOOD
        out[NODE_FEATURES * i + 2] = state.failures[i] / (scenario.max_blind_failures + 1)
        out[NODE_FEATURES * i + 3] = prob_bad(scenario, state, i)
        out[NODE_FEATURES * i + 4] = i == state.asked
    is_known_bad = state.status[state.asked] == BAD
    out[NODE_FEATURES * size] = state.asked == size - 1 and not is_known_bad
    out[NODE_FEATURES * size + 1] = is_known_bad
    out[NODE_FEATURES * size + 2] = state.is_first


@njit(error_model="numpy")
def observe_outcome(scenario, state, out):
    """Write which node is asked about, the kind of question, the last result, how far along.

    The last result: found good, found bad, returned by the customer. How far: the share of the
    nodes that are there.
    """
    size = len(state.status)
    present = 0
    for i in range(size):
        out[i] = i == state.asked
        present += state.status[i] != ABSENT
    is_known_bad = state.status[state.asked] == BAD
    out[size] = state.asked == size - 1 and not is_known_bad
    out[size + 1] = is_known_bad
    out[size + 2] = state.last_result == FOUND_GOOD
    out[size + 3] = state.last_result == FOUND_BAD
    out[size + 4] = state.last_result == RETURNED
    out[size + 5] = present / size
    out[size + 6] = state.is_first


@njit(error_model="numpy")
def allow(scenario, state, mask):
    """Write which answers are allowed."""
    i = state.asked
    mask[0] = 1
    mask[1] = state.status[i] != BAD or can_dismantle(scenario, state, i)


@njit(error_model="numpy")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it: a 63-bit hash."""
    key = np.uint64(2 * np.int64(state.is_first) + 1)
    if outcome:
        key += np.uint64(4 * np.int64(state.last_result))
    for i in range(len(state.status)):
        word = np.uint64(state.status[i]) + np.uint64(8) * np.uint64(state.failures[i])
        key = (key ^ word) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key >> np.uint64(1)


KERNEL = bind(globals())
