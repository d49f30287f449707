"""The world of an assembly tree: buy, inspect, assemble, ship, dismantle.

Nodes are numbered children first, left to right, so that a node's subtree is the run of indices from
``first[i]`` to ``i`` and the root is the last. The question that is asked is always about the first node
that is to be made, is waiting to be used, or is known to be bad: that order is depth-first.

What the failed builds of an assembly say of its present, unverified children is kept as nested sets of
them. Set 1 holds the children that were in the oldest of those failures, set 2 those that were in the
next ones too, and so on: one that is replaced by a new one leaves the older failures fewer survivors. An
item is in all sets but the first ``entered``. The chance of all failures, given which children are good,
depends only on the largest set all of which are good: it is 1 if there is none, and ``likelihood`` of
that set. Where nothing is discarded there is at most one set, of likelihood q^k.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import uniform

USE, INSPECT = 0, 1  # an item about to be used; at the root, 0 ships it
SCRAP, DISMANTLE = 0, 1  # an assembly known to be bad
DISCARD = 2  # a recovered item, where the scenario allows it
NUM_ACTIONS = 2  # 3 with DISCARD
ABSENT, WAITING, USED, GOOD, BAD = 0, 1, 2, 3, 4
NO_RESULT, FOUND_GOOD, FOUND_BAD, RETURNED = 0, 1, 2, 3
NODE_FEATURES = 5
_SIGNIFICANT = 2.0**40


@cache
def scenario_dtype(size: int) -> np.dtype[np.void]:
    """Return the layout of the parameters of a tree of ``size`` nodes."""
    return np.dtype(
        [
            ("parent", np.int64, size),  # −1 at the root
            ("first", np.int64, size),  # first node of the subtree; the node itself for a part
            ("child", np.int64, size),  # first child; −1 for a part
            ("sibling", np.int64, size),  # next child of the same assembly; −1 for the last
            ("defect_rate", np.float64, size),
            ("make_cost", np.float64, size),  # of buying a part, of assembling
            ("inspection_cost", np.float64, size),
            ("dismantle_cost", np.float64, size),
            ("price", np.float64),
            ("return_loss", np.float64),
            ("max_blind_failures", np.int64),
            ("discard_recovered", np.int8),
        ],
        align=True,
    )


@cache
def state_dtype(size: int, most_sets: int = 1) -> np.dtype[np.void]:
    """Return the layout of the state of a tree of ``size`` nodes.

    ``most_sets`` is the most sets of children of an assembly that have failed together.
    """
    return np.dtype(
        [
            ("status", np.int8, size),
            # Failed builds of an assembly's present children, while that says something of them.
            ("failures", np.int8, size),
            # P(bad) of an unverified item, from all but the failures of what it was built into.
            ("prior_bad", np.float64, size),
            ("sets", np.int8, size),  # of an assembly's children that have failed together
            ("likelihood", np.float64, (size, most_sets)),
            ("entered", np.int8, size),  # how many of its parent's sets an item is not in
            ("recovered", np.int8, size),  # waits after its assembly was taken apart
            ("asked", np.int64),
            ("is_first", np.bool_),  # nothing has been paid yet, for the first part neither
            ("last_result", np.int8),
            ("is_bad", np.int8, size),  # the truth, hidden from every observation
        ],
        align=True,
    )


SCENARIO, STATE = scenario_dtype(3), state_dtype(3)


def belief_size(size: int, most_sets: int = 0) -> int:
    """Return the length of a belief observation; ``most_sets`` is 0 where nothing is discarded."""
    return (NODE_FEATURES + (2 + most_sets if most_sets else 0)) * size + 3


def outcome_size(size: int) -> int:
    """Return the length of an outcome observation."""
    return size + 7


BELIEF_SIZE, OUTCOME_SIZE = belief_size(3), outcome_size(3)


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Start from nothing, and make the first part."""
    scrap(scenario, state, len(state.status) - 1)
    for i in range(len(state.status)):
        state.is_bad[i] = 0
    state.asked = 0
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
    elif action == DISCARD and can_discard(scenario, state, i):
        state.last_result = NO_RESULT
        discard(scenario, state, i)
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
        state.recovered[i] = 0
    return reward - advance(scenario, state, noise), False


@njit(error_model="numpy")
def advance(scenario, state, noise):
    """Go to the next question, making what is to be made before it. Return what that costs."""
    i = scenario.first[state.asked]  # an answer changes nothing to the left of it
    while state.status[i] == USED or state.status[i] == GOOD:
        i += 1
    state.asked = i
    if state.status[i] != ABSENT:
        return 0.0
    state.status[i] = WAITING
    state.is_bad[i] = np.int8(uniform(noise) < scenario.defect_rate[i])
    all_good = 1.0
    if scenario.child[i] >= 0:
        all_good = children_good(scenario, state, i)
        j = scenario.child[i]
        while j >= 0:
            state.is_bad[i] |= state.is_bad[j]
            j = scenario.sibling[j]
    state.prior_bad[i] = 1.0 - (1.0 - scenario.defect_rate[i]) * all_good
    if scenario.parent[i] >= 0:
        state.entered[i] = state.sets[scenario.parent[i]]
    return scenario.make_cost[i]


@njit(error_model="numpy")
def is_unverified(state, i):
    """Return whether item i is there, neither known to be good nor to be bad."""
    return state.status[i] == WAITING or state.status[i] == USED


@njit(error_model="numpy")
def likelihood_of(state, i, rank):
    """Return P(failures of assembly i | set ``rank`` is the largest that is all good)."""
    return 1.0 if rank == 0 else state.likelihood[i, rank - 1]


@njit(error_model="numpy")
def newcomers_good(scenario, state, i, rank):
    """Return P(those children of i are all good that are in set ``rank`` + 1 but not before).

    By what each is without the failures. With ``rank`` the number of sets: those in none.
    """
    good = 1.0
    j = scenario.child[i]
    while j >= 0:
        if state.entered[j] == rank and is_unverified(state, j):
            good *= 1.0 - state.prior_bad[j]
        j = scenario.sibling[j]
    return good


@njit(error_model="numpy")
def evidence(scenario, state, i, most):
    """Return P(failures of i), and P(failures, set ``most`` is all good), if no larger set is.

    The largest set that is all good is r with probability g_r − g_{r+1}, where g_r = P(set r all good).
    """
    total, good = 0.0, 1.0
    for rank in range(most):
        larger = good * newcomers_good(scenario, state, i, rank)
        total += likelihood_of(state, i, rank) * (good - larger)
        good = larger
    good *= likelihood_of(state, i, most)
    return total + good, good


@njit(error_model="numpy")
def children_good(scenario, state, i):
    """Return P(the present children of i are all good | its failures).

    With one set of k failures and g = P(all good) without them: g q^k / (g q^k + 1 − g).
    """
    sets = state.sets[i]
    if sets == 0:
        return newcomers_good(scenario, state, i, 0)
    total, good = evidence(scenario, state, i, sets)
    return good / total * newcomers_good(scenario, state, i, sets)


@njit(error_model="numpy")
def growth(scenario, state, i):
    """Return the ratio by which the failures of what item i was built into make it likelier bad."""
    parent = scenario.parent[i]
    if parent < 0 or state.entered[i] == state.sets[parent]:
        return 1.0  # it was in none of the failures
    if_bad, _ = evidence(scenario, state, parent, state.entered[i])
    total, _ = evidence(scenario, state, parent, state.sets[parent])
    return if_bad / total


@njit(error_model="numpy")
def prob_bad(scenario, state, i):
    """Return P(item i is bad | all that is known).

    A failure of what it was built into makes it likelier bad in proportion, and so does, while that
    stands unverified in an assembly of its own, a failure of the latter.
    """
    if state.status[i] == BAD:
        return 1.0
    if not is_unverified(state, i):
        return 0.0
    chance = state.prior_bad[i]
    while i >= 0 and is_unverified(state, i):
        chance *= growth(scenario, state, i)
        i = scenario.parent[i]
    return chance


@njit(error_model="numpy")
def can_dismantle(scenario, state, i):
    """Return whether the bad assembly i may be taken apart."""
    return state.failures[i] <= scenario.max_blind_failures


@njit(error_model="numpy")
def can_discard(scenario, state, i):
    """Return whether item i may be thrown away untested."""
    return scenario.discard_recovered == 1 and state.recovered[i] == 1


@njit(error_model="numpy")
def find_good(scenario, state, i):
    """Note that item i, and so all that it was built from, is good."""
    leave_sets(scenario, state, i)
    scrap(scenario, state, i)
    for j in range(scenario.first[i], i + 1):
        state.status[j] = GOOD


@njit(error_model="numpy")
def find_bad(scenario, state, i):
    """Note that item i is bad. A part is thrown away; an assembly waits for a decision."""
    parent = scenario.parent[i]
    if parent >= 0:
        # The failures that it was in are explained: the siblings go back to what they were.
        sets = state.entered[i]
        state.sets[parent] = sets
        j = scenario.child[parent]
        while j >= 0:
            state.entered[j] = min(state.entered[j], sets)
            j = scenario.sibling[j]
        forget_if_explained(state, parent)
    if scenario.first[i] == i:
        scrap(scenario, state, i)
        return
    state.prior_bad[i] = 0.0
    state.entered[i] = 0
    state.recovered[i] = 0
    state.status[i] = BAD
    state.failures[i] += 1
    if holds_set(scenario, state, i, state.sets[i]):
        state.sets[i] += 1
        state.likelihood[i, state.sets[i] - 1] = likelihood_of(state, i, state.sets[i] - 1)
    if state.sets[i] > 0:
        last = state.sets[i] - 1
        state.likelihood[i, last] = rounded(state.likelihood[i, last] * scenario.defect_rate[i])
    forget_if_explained(state, i)


@njit(error_model="numpy")
def discard(scenario, state, i):
    """Throw the unverified item i away: if it was bad, the failures after it entered are explained."""
    parent, entered = scenario.parent[i], state.entered[i]
    unexplained = likelihood_of(state, parent, entered)
    for rank in range(entered, state.sets[parent]):
        of_rank = state.likelihood[parent, rank]
        mean = of_rank + state.prior_bad[i] * (unexplained - of_rank)
        state.likelihood[parent, rank] = rounded(mean)
    leave_sets(scenario, state, i)
    scrap(scenario, state, i)


@njit(error_model="numpy")
def leave_sets(scenario, state, i):
    """Take item i out of the sets of its parent; a set that then equals the one before is dropped."""
    parent, entered = scenario.parent[i], state.entered[i]
    if parent < 0 or entered == state.sets[parent]:
        return
    state.entered[i] = state.sets[parent]
    if holds_set(scenario, state, parent, entered):
        return
    scale = state.likelihood[parent, 0] if entered == 0 else 1.0
    for rank in range(max(entered, 1), state.sets[parent]):
        state.likelihood[parent, rank - 1] = rounded(state.likelihood[parent, rank] / scale)
    state.sets[parent] -= 1
    j = scenario.child[parent]
    while j >= 0:
        if state.entered[j] > entered:
            state.entered[j] -= 1
        j = scenario.sibling[j]
    forget_if_explained(state, parent)


@njit(error_model="numpy")
def holds_set(scenario, state, i, rank):
    """Return whether an unverified child of i is in set ``rank`` + 1 but not before."""
    j = scenario.child[i]
    while j >= 0:
        if state.entered[j] == rank and is_unverified(state, j):
            return True
        j = scenario.sibling[j]
    return False


@njit(error_model="numpy")
def forget_if_explained(state, i):
    """Set the failures of assembly i to none if they say nothing of its present children."""
    if state.sets[i] == 0:
        state.failures[i] = 0


@njit(error_model="numpy")
def rounded(likelihood):
    """Return a likelihood to 40 significant bits: one belief, come to in two ways, is one state."""
    mantissa, exponent = math.frexp(likelihood)
    return math.ldexp(np.rint(mantissa * _SIGNIFICANT) / _SIGNIFICANT, exponent)


@njit(error_model="numpy")
def dismantle(scenario, state, i):
    """Take assembly i apart: what is not known to be good in it is asked about again."""
    state.status[i] = ABSENT
    j = scenario.child[i]
    while j >= 0:
        if state.status[j] == USED:
            state.status[j] = WAITING
            state.recovered[j] = 1
        j = scenario.sibling[j]


@njit(error_model="numpy")
def scrap(scenario, state, i):
    """Throw item i away with all that is in it."""
    for j in range(scenario.first[i], i + 1):
        state.status[j] = ABSENT
        state.failures[j] = 0
        state.prior_bad[j] = 0.0
        state.sets[j] = 0
        state.entered[j] = 0
        state.recovered[j] = 0


@njit(error_model="numpy")
def observe_belief(scenario, state, out):
    """Write five numbers for each node, the kind of question, and whether nothing is paid yet.

    A node's: unverified, known good, failures over max_blind_failures + 1, P(bad), asked about.
    The kind: whether a finished product, or an assembly known to be bad, is asked about. Where
    recovered items may be discarded, then for each node: recovered, the share of the sets that it is
    not in, and 1 − the likelihood of each of its own.
    """
    size = len(state.status)
    any_sets = 0
    for i in range(size):
        any_sets |= state.sets[i]
    for i in range(size):
        # Bit by bit and not "or": what is asked in turn is guessed wrong by the processor too often.
        status = state.status[i]
        out[NODE_FEATURES * i] = 1.0 if (status == WAITING) | (status == USED) else 0.0
        out[NODE_FEATURES * i + 1] = 1.0 if status == GOOD else 0.0
        out[NODE_FEATURES * i + 2] = 0.0
        out[NODE_FEATURES * i + 3] = 1.0 if status == BAD else state.prior_bad[i]
        out[NODE_FEATURES * i + 4] = 0.0
    out[NODE_FEATURES * state.asked + 4] = 1.0
    if any_sets != 0:
        for i in range(size):
            failures = state.failures[i] / (scenario.max_blind_failures + 1)
            out[NODE_FEATURES * i + 2] = failures
            out[NODE_FEATURES * i + 3] = prob_bad(scenario, state, i)
    is_known_bad = state.status[state.asked] == BAD
    out[NODE_FEATURES * size] = state.asked == size - 1 and not is_known_bad
    out[NODE_FEATURES * size + 1] = is_known_bad
    out[NODE_FEATURES * size + 2] = state.is_first
    if scenario.discard_recovered:
        most_sets = state.likelihood.shape[1]
        at = NODE_FEATURES * size + 3
        for i in range(size):
            out[at] = state.recovered[i]
            out[at + 1] = state.entered[i] / most_sets
            for rank in range(most_sets):
                known = rank < state.sets[i]
                out[at + 2 + rank] = 1.0 - state.likelihood[i, rank] if known else 0.0
            at += 2 + most_sets


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
    if scenario.discard_recovered:
        mask[DISCARD] = can_discard(scenario, state, i)


@njit(error_model="numpy")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it: a 63-bit hash."""
    key = np.uint64(2 * np.int64(state.is_first) + 1)
    if outcome:
        key += np.uint64(4 * np.int64(state.last_result))
    for i in range(len(state.status)):
        key = mixed(key, np.uint64(state.status[i]) + np.uint64(8) * np.uint64(state.failures[i]))
        if scenario.discard_recovered:
            known = np.int64(state.sets[i]) + 128 * np.int64(state.entered[i])
            key = mixed(key, np.uint64(known + 32768 * np.int64(state.recovered[i])))
            for rank in range(state.sets[i]):
                mantissa, exponent = math.frexp(state.likelihood[i, rank])
                significant = np.int64(mantissa * _SIGNIFICANT)
                key = mixed(key, np.uint64(significant + (np.int64(exponent) << 41)))
    return key >> np.uint64(1)


@njit(error_model="numpy")
def mixed(key, word):
    """Return a hash of both."""
    key = (key ^ word) * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


KERNEL = bind(globals())
