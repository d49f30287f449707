"use strict";
// The world of inspect-or-stop; tables.js tells what a world is. A state: {size, n, d, b, last}, and whether the
// lot is still produced. Its rules are those of qc_gym/lot/dynamics.py.
const [STOP, GO_ON] = [0, 1];
const [NO_RESULT, NONCONFORMING, CONFORMING] = [0, 1, 2];

function makeWorld(data) {
  const units = (number) => `${number} unit${number === 1 ? "" : "s"}`;
  const inspected = (size) => ({isProducing: false, size, n: 0, d: data.demand, b: data.stay[0], last: NO_RESULT});
  const produced = (size) => ({...inspected(size), isProducing: true});

  // P(the next unit is judged conforming), and the belief after a result.
  const prospect = (b) => b * data.yields[0] + (1 - b) * data.yields[1];
  function after(state, conforming) {
    const [inside, outside] = data.yields.map((one) => conforming ? one : 1 - one);
    const joint = state.b * inside, chance = joint + (1 - state.b) * outside;
    const n = state.n + 1, d = state.d - (conforming ? 1 : 0);
    const b = chance > 0 && n < state.size ? joint / chance * data.stay[n] : 0;
    return {chance, state: {...state, n, d, b, last: conforming ? CONFORMING : NONCONFORMING}};
  }
  const isOver = (state) => state.n === state.size || state.d === 0;

  const pointsOf = (state) => data.lots[state.size]?.[state.n]?.[Math.min(state.d, state.size - state.n)];

  // The least cost after inspecting the next unit: on the chord, plus the demand that no unit is left for.
  function costOfInspecting(state) {
    const points = pointsOf(state), last = points.length - 2;
    const beyond = data.shortage * Math.max(state.d - (state.size - state.n), 0);
    let i = 0;
    while (i + 2 < last && points[i + 2] < state.b) i += 2;
    if (last === 0 || state.b <= points[0]) return beyond + points[1];
    if (state.b >= points[last]) return beyond + points[last + 1];
    const share = (state.b - points[i]) / (points[i + 2] - points[i]);
    return beyond + points[i + 1] + share * (points[i + 3] - points[i + 1]);
  }

  // The chance that the agent inspects; null in a lot that it never makes.
  function agentInspects(state) {
    const agent = data.agent;
    if (agent === null || state.size !== agent.size) return null;
    const found = data.demand - state.d;
    if (agent.results) return agent.results[state.n][found][state.last];
    const changes = agent.switches[state.n][found].filter((one) => state.b >= one).length;
    return (agent.first[state.n][found] + changes) % 2;
  }

  function lookAtProduction(state) {
    const k = state.size, {end, on, values} = data.production, known = data.agent !== null && k <= data.agent.size;
    const ends = known ? Number(k === data.agent.size) : null, grows = k < data.longest;
    return {
      words: `${units(k)} produced`, value: values[k], beliefs: {},
      actions: [
        {name: "end production", isAllowed: true, gap: end[k], isBest: !grows || end[k] <= on[k],
          reward: k === 0 ? -data.shortage * data.demand : 0, agent: ends},
        {name: "produce one more", isAllowed: grows, gap: grows ? on[k] : null, isBest: grows && on[k] < end[k],
          reward: -data.unit - (k === 0 ? data.setup : 0), agent: ends === null ? null : 1 - ends},
      ],
    };
  }

  function inWords(state) {
    return `${state.n} of ${units(state.size)} inspected, ${state.d} still wanted, belief ${state.b.toFixed(4)}`;
  }

  return {
    hasAgent: data.agent !== null,
    starts: () => [{chance: 1, state: data.size === null ? produced(0) : inspected(data.size)}],
    look: (state) => {
      if (state.isProducing) return lookAtProduction(state);
      const stop = data.shortage * state.d, go = costOfInspecting(state), least = Math.min(stop, go);
      const missed = state.b * data.missed[0] + (1 - state.b) * data.missed[1];
      const atEnd = [false, true].map((conforming) => after(state, conforming))
        .reduce((sum, one) => sum + (isOver(one.state) ? one.chance * data.shortage * one.state.d : 0), 0);
      const inspects = agentInspects(state);
      return {
        words: inWords(state), value: 0 - least,
        beliefs: {
          "P(the next unit was produced in control)": state.b,
          "P(the next unit is judged conforming)": prospect(state.b),
        },
        actions: [
          {name: "stop", isAllowed: true, gap: stop - least, isBest: stop <= go, reward: 0 - stop,
            agent: inspects === null ? null : 1 - inspects},
          {name: "inspect the next unit", isAllowed: true, gap: go - least, isBest: go < stop,
            reward: 0 - (data.inspection + missed + atEnd), agent: inspects},
        ],
      };
    },
    follow: (state, action) => {
      const ends = [{chance: 1, state: null, words: "the episode ends"}];
      if (state.isProducing) {
        if (action === GO_ON) return [{chance: 1, state: produced(state.size + 1), words: `${units(state.size + 1)} produced`}];
        return state.size === 0 ? ends : [{chance: 1, state: inspected(state.size), words: inWords(inspected(state.size))}];
      }
      if (action === STOP) return ends;
      return [true, false].map((conforming) => ({...after(state, conforming), conforming}))
        .filter((one) => one.chance > 0)
        .map(({chance, state: to, conforming}) => {
          const word = conforming ? "conforming" : "nonconforming";
          return isOver(to) ? {chance, state: null, words: `${word}, the episode ends`} : {chance, state: to, words: word};
        });
    },
    fields: (state) => state.isProducing ? [{name: "produced", value: state.size}]
      : [{name: "inspected", value: state.n}, {name: "still wanted", value: state.d}, {name: "belief", value: state.b}],
    find: (state, values) => {
      if (state.isProducing) return Number.isInteger(values[0]) && values[0] <= data.longest ? produced(values[0]) : null;
      const [n, d, b] = values, to = {...state, n, d, b, last: n === 0 ? NO_RESULT : state.last};
      const found = data.demand - d, points = pointsOf(to);
      if (!points || found < 0 || found > n || b < points[0] - 1e-9 || b > points.at(-2) + 1e-9) return null;
      return to;
    },
    search: () => [],
  };
}
