"""The loops over a family's world, as templates.

Each function below is plain Python whose free names (``reset``, ``step``, ``observe_belief``,
``observe_outcome``, ``allow``, ``identify``) are those of a family's ``dynamics`` module.
:func:`qc_gym.core.kernel.bind` compiles them once for each family; nothing here is called as it stands.

Arguments that recur, for n sub-environments:

``scenarios``                  records (m,): the parameters of each of m scenarios
``tables``                     float64 (m or 1, size): what each has tabulated; see Scenario.table
``features``                   float32 (m, f): what of each ends its observations; None for nothing
``played``                     int64 (n,): the number, from 0, of the scenario that each plays; None where
                               all play the first: numba compiles this by itself, without the look-up
``states, noise``              records (n,): the world, the random stream
``elapsed``                    int64 (n,): steps since the reset
``ended``                      bool (n,): the episode is over and the sub-environment not yet reset
``outcome``                    bool: which of the two observations to write
``observations, masks``        float32 (n, size) and int8 (n, actions): written
"""

# ruff: noqa: F821
import numpy as np

from qc_gym.core.noise import uniform


def observe(scenario, table, state, outcome, observation, mask):
    """Write what the agent sees, and which actions are allowed."""
    if outcome:
        observe_outcome(scenario, table, state, observation)
    else:
        observe_belief(scenario, table, state, observation)
    allow(scenario, table, state, mask)


def show_features(features, number, observation):
    """End an observation with what scenario ``number`` shows of itself."""
    # After the family's own, which may clear all before it writes.
    if features is not None:
        first = len(observation) - features.shape[1]
        for j in range(features.shape[1]):
            observation[first + j] = features[number, j]


def reset_batch(
    scenarios,
    tables,
    features,
    played,
    states,
    noise,
    elapsed,
    ended,
    selected,
    outcome,
    observations,
    masks,
):
    """Start a new episode in each selected sub-environment."""
    number, table_stride = np.uint64(0), np.uint64(len(tables) > 1)
    for i in range(len(selected)):
        if selected[i]:
            if played is not None:
                number = np.uint64(played[i])
            scenario, table = scenarios[number], tables[number * table_stride]
            reset(scenario, table, states[i], noise[i])
            elapsed[i] = 0
            ended[i] = False
            observe(scenario, table, states[i], outcome, observations[i], masks[i])
            show_features(features, number, observations[i])


def step_batch(
    scenarios,
    tables,
    features,
    played,
    states,
    noise,
    elapsed,
    ended,
    actions,
    max_steps,
    outcome,
    observations,
    rewards,
    terminated,
    truncated,
    masks,
):
    """Take one step in each sub-environment; one whose episode has ended is reset instead.

    ``max_steps`` is 0 where episodes are not truncated. Returns whether all actions are in range;
    nothing has moved if not.
    """
    worst = np.uint64(0)  # a negative action is a great unsigned one
    for action in actions:
        worst = max(worst, np.uint64(action))
    if worst >= np.uint64(masks.shape[1]):
        return False
    number, table_stride = np.uint64(0), np.uint64(len(tables) > 1)
    limited = max_steps > 0
    for i in range(len(actions)):
        if played is not None:
            number = np.uint64(played[i])
        scenario, table, state = scenarios[number], tables[number * table_stride], states[i]
        if ended[i]:
            reset(scenario, table, state, noise[i])
            elapsed[i] = 0
            rewards[i] = 0.0
            terminated[i] = False
            truncated[i] = False
        else:
            rewards[i], terminated[i] = step(scenario, table, state, actions[i], noise[i])
            truncated[i] = False
            if limited:
                elapsed[i] += 1
                truncated[i] = elapsed[i] >= max_steps
        ended[i] = terminated[i] | truncated[i]
        observe(scenario, table, state, outcome, observations[i], masks[i])
        show_features(features, number, observations[i])
    return True


def step_one(scenarios, tables, features, states, noise, action, outcome, observation, mask):
    """Take one step in the only sub-environment; return its reward and whether it terminated."""
    scenario, table = scenarios[0], tables[0]
    reward, terminated = step(scenario, table, states[0], action, noise[0])
    observe(scenario, table, states[0], outcome, observation, mask)
    show_features(features, 0, observation)
    return reward, terminated


def describe_batch(scenarios, tables, features, played, states, outcome, observations, masks, keys):
    """Write the observation, the mask and the key of each of the given states."""
    number, table_stride = np.uint64(0), np.uint64(len(tables) > 1)
    for i in range(len(states)):
        if played is not None:
            number = np.uint64(played[i])
        scenario, table = scenarios[number], tables[number * table_stride]
        observe(scenario, table, states[i], outcome, observations[i], masks[i])
        show_features(features, number, observations[i])
        keys[i] = identify(scenario, table, states[i], outcome)


def find(keys, key):
    """Return the row of ``key`` in the ascending array ``keys``, or −1."""
    if key < len(keys) and keys[key] == key:
        return np.int64(key)  # families whose keys are 0, 1, 2, … need no search
    row = np.searchsorted(keys, key)
    return row if row < len(keys) and keys[row] == key else -1


def roll_out(scenarios, tables, states, noise, outcome, keys, probabilities, returns, lengths):
    """Play whole episodes of a tabulated policy, one after another.

    ``keys`` uint64 (rows,), ascending and below 2^63; ``probabilities`` float64 (rows, actions):
    row r is played in the states that ``identify`` gives ``keys[r]``. Writes ``returns`` and
    ``lengths``, both (episodes,). Returns −1, or the key of a state that is not in the table.
    """
    scenario, table, state, stream = scenarios[0], tables[0], states[0], noise[0]
    last = probabilities.shape[1] - 1
    for episode in range(len(returns)):
        reset(scenario, table, state, stream)
        total, length, terminated = 0.0, 0, False
        while not terminated:
            key = identify(scenario, table, state, outcome)
            row = find(keys, key)
            if row < 0:
                return np.int64(key)
            action, threshold = 0, uniform(stream)
            while action < last and threshold >= probabilities[row, action]:
                threshold -= probabilities[row, action]
                action += 1
            reward, terminated = step(scenario, table, state, action, stream)
            total += reward
            length += 1
        returns[episode] = total
        lengths[episode] = length
    return np.int64(-1)
