"use strict";
// The world of tables. A world is what explore.js asks:
//   starts()               [{chance, state}, …]
//   look(state)            {words, value, beliefs: {name: number or null}, actions: [{name, isAllowed, gap,
//                          isBest, reward, agent}, …]}; gap null: no bound; agent: the chance that it takes
//                          the action, null without an agent
//   follow(state, action)  [{chance, state, words}, …]; state null: the episode ends; undefined: not held
//   fields(state)          [{name, value}, …], numbers by which a state is found; none if it has no such
//   find(state, values)    the state of these numbers, else null
//   search(text)           some states whose words hold all words of the text, [{state, words}, …]
// What a state is, only the world knows.
function makeWorld(data) {
  const names = Object.keys(data.coordinates);

  function pairs(flat) {
    const found = [];
    for (let i = 0; i < flat.length; i += 2) found.push({chance: flat[i], place: flat[i + 1]});
    return found;
  }

  function agentOf(state, action) {
    if (data.agent === null) return null;
    return pairs(data.agent[state]).find((one) => one.place === action)?.chance ?? 0;
  }

  return {
    hasAgent: data.agent !== null,
    starts: () => pairs(data.start).map((one) => ({chance: one.chance, state: one.place})),
    look: (state) => ({
      words: data.states[state],
      value: data.values[state],
      beliefs: Object.fromEntries(Object.entries(data.beliefs).map(([name, column]) => [name, column[state]])),
      actions: data.actions[state].map((word, action) => ({
        name: data.words[word],
        isAllowed: data.allowed[state][action] === 1,
        gap: data.gaps[state][action],
        isBest: data.best[state] === action,
        reward: data.rewards[state][action],
        agent: agentOf(state, action),
      })),
    }),
    follow: (state, action) => {
      const after = pairs(data.next[state][action]);
      const found = after.map((one) => one.place < 0
        ? {chance: one.chance, state: undefined, words: "a state that this page does not hold"}
        : {chance: one.chance, state: one.place, words: data.states[one.place]});
      const ends = 1 - after.reduce((sum, one) => sum + one.chance, 0);
      if (ends > 1e-9) found.push({chance: ends, state: null, words: "the episode ends"});
      return found;
    },
    fields: (state) => names.map((name) => ({name, value: data.coordinates[name][state]})),
    find: (state, values) => {
      const found = data.states.findIndex((_, i) => names.every((name, k) => data.coordinates[name][i] === values[k]));
      return found < 0 ? null : found;
    },
    search: (text) => {
      const wanted = text.toLowerCase().split(/\s+/).filter(Boolean), found = [];
      for (let state = 0; state < data.states.length && found.length < 20; state++) {
        const words = data.states[state].toLowerCase();
        if (wanted.every((one) => words.includes(one))) found.push({state, words: data.states[state]});
      }
      return found;
    },
  };
}
