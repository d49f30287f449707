// The page: shows where one is in the world, and keeps what was done.
const data = JSON.parse(document.getElementById("data").textContent);
const world = makeWorld(data);
const MOST_STEPS = 100000; // an episode that goes on for so long is not waited for
let here = null; // null where the episode has ended, undefined where the page does not hold what came
let origin = null; // what was seen at the first decision
let steps = [];

const element = (id) => document.getElementById(id);

// A number as a plan shows it: four decimals at most, no exponent where there need be none.
function shown(number) {
  const size = Math.abs(number);
  if (size === 0 || (size >= 1e-3 && size < 1e9)) return number.toLocaleString("en", {maximumFractionDigits: 4});
  const [digits, exponent] = number.toPrecision(4).includes("e") || size < 1e-4
    ? Number(number.toPrecision(4)).toExponential().split("e") : [String(Number(number.toPrecision(4))), null];
  if (exponent === null) return digits;
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

function percent(chance) {
  return chance > 0.9999 && chance < 1 ? "> 99.99 %" : chance < 1e-4 ? "< 0.01 %" : `${(100 * chance).toFixed(2)} %`;
}

// What an action loses; below what tells two actions apart it is nothing.
function loss(action) {
  if (action.gap === null) return Infinity;
  return action.gap <= data.resolution ? 0 : action.gap;
}
const lossInWords = (number) => number === Infinity ? "without bound" : shown(number);

function make(tag, text, ...classes) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.classList.add(...classes);
  return made;
}

function pressed(text, act) {
  const button = make("button", text);
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

function row(table, ...cells) {
  const line = document.createElement("tr");
  line.append(...cells);
  table.append(line);
  return line;
}

function drawn(outcomes) {
  let left = Math.random();
  for (const outcome of outcomes) {
    left -= outcome.chance;
    if (left < 0) return outcome;
  }
  return outcomes.at(-1);
}

function begin(state) {
  here = state;
  steps = [];
  origin = world.look(state);
  draw();
}

// Note a decision, and go to what came of it.
function take(action, outcome) {
  const seen = world.look(here), done = seen.actions[action];
  steps.push({
    where: seen.words, done: done.name, loss: loss(done),
    optimum: seen.actions.find((one) => one.isBest).name,
    agent: seen.actions.filter((one) => one.agent > 0).map((one) => one.name).join(" or "),
    came: outcome.words,
  });
  here = outcome.state;
}

function takeBest() {
  const action = world.look(here).actions.findIndex((one) => one.isBest);
  take(action, drawn(world.follow(here, action)));
}

const isOver = () => here === null || here === undefined;

function drawBeliefs(seen) {
  const rows = Object.entries(seen.beliefs).filter(([, number]) => number !== null);
  element("beliefs").replaceChildren();
  for (const [name, number] of rows) row(element("beliefs"), make("th", name), make("td", shown(number), "number"));
}

function drawActions(seen) {
  const table = element("actions"), most = Math.max(...seen.actions.filter((one) => one.isAllowed).map(loss).filter(isFinite), 0);
  table.replaceChildren();
  const head = ["action", "loses", "earns at once", ...(world.hasAgent ? ["the agent"] : [])];
  const top = document.createElement("thead");
  row(top, ...head.map((name, i) => make("th", name, ...(i ? ["number"] : []))));
  const body = document.createElement("tbody");
  table.append(top, body);
  seen.actions.forEach((action, i) => {
    if (!action.isAllowed && !action.agent) return;
    const outcomes = action.isAllowed ? world.follow(here, i) : [];
    const name = document.createElement("td"), lost = make("td", "", "number", "loss");
    const does = action.isAllowed
      ? pressed(action.name, () => { take(i, drawn(outcomes)); draw(); })
      : make("span", `${action.name} (not allowed)`);
    does.classList.add("does");
    name.append(does);
    if (outcomes.length > 1 || outcomes[0]?.state) {
      const results = make("div", "", "results");
      results.append(...outcomes.map((one) => pressed(`${percent(one.chance)}: ${one.words}`, () => { take(i, one); draw(); })));
      name.append(results);
    }
    lost.append(make("span", lossInWords(loss(action)), "tells"));
    if (loss(action) > 0 && most > 0) {
      const bar = make("span", "", "bar", "tells");
      bar.style.width = `${100 * Math.min(loss(action) / most, 1)}%`;
      lost.append(bar);
    }
    const line = row(body, name, lost, make("td", shown(action.reward), "number"));
    if (world.hasAgent) {
      const cell = make("td", "", "number");
      cell.append(make("span", action.agent > 0 ? (action.agent === 1 ? "does it" : percent(action.agent)) : "", "tells"));
      line.append(cell);
    }
    if (action.isBest && !element("hide").checked) line.classList.add("best");
  });
  table.classList.toggle("hidden", element("hide").checked);
}

function drawFields() {
  const form = element("find");
  form.replaceChildren();
  element("found").replaceChildren();
  if (isOver()) return;
  const fields = world.fields(here);
  const inputs = fields.length ? fields.map((field) => {
    const input = document.createElement("input");
    input.type = "number"; input.step = "any"; input.min = "0"; input.value = field.value;
    return input;
  }) : [document.createElement("input")];
  inputs.forEach((input, i) => {
    const label = make("label", `${fields.length ? fields[i].name : "a state whose words hold"} `);
    label.append(input);
    form.append(label);
  });
  form.append(make("button", fields.length ? "go there" : "find"));
  form.onsubmit = (event) => {
    event.preventDefault();
    element("found").replaceChildren();
    if (fields.length) {
      const state = world.find(here, inputs.map((input) => Number(input.value)));
      if (state === null) element("found").append(make("span", "No play comes there, or so seldom that this page does not hold it."));
      else begin(state);
      return;
    }
    const found = world.search(inputs[0].value);
    element("found").append(...found.map((one) => pressed(one.words, () => begin(one.state))));
    if (!found.length) element("found").append(make("span", "No state has such words."));
  };
}

function drawLog() {
  const table = element("log"), head = document.createElement("thead"), body = document.createElement("tbody");
  const total = steps.reduce((sum, step) => sum + step.loss, 0);
  table.replaceChildren();
  element("total").textContent = steps.length === 0 ? "Nothing yet."
    : `${steps.length} decision${steps.length === 1 ? "" : "s"}, regret ${lossInWords(total)}: ` +
      `optimal play earns ${shown(origin.value)} from there on average; with these decisions ${total === Infinity ? "there is no bound on what is lost" : `it is ${shown(origin.value - total)}`}.`;
  if (steps.length === 0) return;
  row(head, ...["", "where", "you", "loses", "the optimum", ...(world.hasAgent ? ["the agent"] : []), "then"].map((name) => make("th", name)));
  steps.forEach((step, i) => {
    const agent = world.hasAgent ? [make("td", step.agent)] : [];
    row(body, make("td", String(i + 1), "number"), make("td", step.where), make("td", step.done),
      make("td", lossInWords(step.loss), "number"), make("td", step.optimum), ...agent, make("td", step.came));
  });
  table.append(head, body);
}

function draw() {
  drawFields();
  drawLog();
  for (const id of ["optimal", "finish"]) element(id).disabled = isOver();
  if (isOver()) {
    element("words").textContent = here === null ? "The episode is over." : "What came is so rare that this page does not hold it.";
    element("worth").textContent = "";
    element("beliefs").replaceChildren();
    element("actions").replaceChildren();
    return;
  }
  const seen = world.look(here);
  element("words").textContent = seen.words;
  element("worth").textContent = `Optimal play earns ${shown(seen.value)} from here on average.`;
  drawBeliefs(seen);
  drawActions(seen);
}

element("hide").addEventListener("change", draw);
element("optimal").addEventListener("click", () => { takeBest(); draw(); });
element("finish").addEventListener("click", () => {
  for (let i = 0; i < MOST_STEPS && !isOver(); i++) takeBest();
  draw();
});
element("restart").addEventListener("click", () => begin(drawn(world.starts()).state));
begin(drawn(world.starts()).state);
