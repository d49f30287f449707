"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const sections = [...document.querySelectorAll("section")];
const narrow = window.matchMedia("(max-width: 700px)");

// A name is not markup, and plotly reads some.
function plain(text) { return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;"); }

// Text in lines of at most so many letters, longer words in pieces.
function wrapped(text, most) {
  const lines = [""];
  for (const word of text.split(" ").flatMap((one) => one.match(new RegExp(`.{1,${most}}`, "gu")) ?? [])) {
    const longer = (lines.at(-1) + " " + word).trim();
    if (longer.length > most) lines.push(word); else lines[lines.length - 1] = longer;
  }
  return lines.map(plain).join("<br>");
}

// Of money and of scores, the digits that mean something; "–" where there is no number.
function rounded(number) {
  return number === null ? "–" : Number(number.toPrecision(5)).toLocaleString("en", {maximumSignificantDigits: 5});
}

function draw(chart, traces, layout) {
  for (const axis of [layout.xaxis, layout.yaxis]) {
    if (axis.title) axis.title.text = axis.title.text.split("<br>").map((line) => wrapped(line, narrow.matches ? 32 : 80)).join("<br>");
  }
  const common = {
    margin: {t: 36, r: 10}, hovermode: "closest", legend: {orientation: "h", y: narrow.matches ? -0.36 : -0.2},
    font: {family: "system-ui, sans-serif", size: 13},
  };
  Plotly.react(chart, traces, {...common, ...layout}, {displaylogo: false, responsive: true});
}

function drawIntervals(chart) {
  const rows = data.intervals;
  draw(chart, rows.map((row, i) => ({
    type: "scatter", mode: "markers", y: [i], x: [row.iqm], showlegend: false,
    marker: {size: 11, color: data.styles[row.policy].color},
    error_x: {
      type: "data", symmetric: false, thickness: 3, color: data.styles[row.policy].color,
      array: [(row.high ?? row.iqm) - row.iqm], arrayminus: [row.iqm - (row.low ?? row.iqm)],
    },
    text: [`${plain(row.policy)}: ${rounded(row.iqm)}<br>95 %: ${rounded(row.low)} to ${rounded(row.high)}`],
    hovertemplate: "%{text}<extra></extra>",
  })), {
    xaxis: {title: {text: "normalised score, interquartile mean"}},
    yaxis: {
      tickvals: rows.map((_, i) => i), ticktext: rows.map((row) => wrapped(row.policy, 24)),
      range: [rows.length - 0.4, -0.6], automargin: true, zeroline: false,
    },
  });
}

function drawProfiles(chart) {
  const names = Object.keys(data.profiles), colour = (name) => data.styles[name].color;
  const traces = names.flatMap((name) => {
    const line = {shape: "hv", color: colour(name), dash: data.styles[name].dash};
    const edge = {x: data.losses, type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
      legendgroup: name, line: {...line, width: 0}};
    return [
      {...edge, y: data.profiles[name].low},
      {...edge, y: data.profiles[name].high, fill: "tonexty", fillcolor: colour(name) + "22"},
      {x: data.losses, y: data.profiles[name].share, type: "scatter", mode: "lines", line, name: plain(name),
        legendgroup: name,
        hovertemplate: "%{y:.3f} of the runs come nearer than %{x:.2g}<extra>%{fullData.name}</extra>"},
    ];
  });
  draw(chart, traces, {
    xaxis: {type: "log", dtick: 1, autorange: "reversed", title: {text: "distance to the optimum, 1 − normalised score"}},
    yaxis: {range: [0, 1.02], title: {text: "share of runs that come nearer"}},
  });
}

function drawCurves(section, problem) {
  const x = section.querySelector(".abscissa").value, y = section.querySelector(".ordinate").value;
  const least = problem.least; // a logarithmic axis has no zero
  const isCut = problem.curves.some((curve) => curve.regret.some((one) => one !== null && one < least));
  const traces = problem.curves.map((curve) => ({
    type: "scatter", mode: "lines+markers", name: plain(curve.title), x: curve[x],
    y: y === "regret" ? curve.regret.map((one) => one === null ? null : Math.max(one, least)) : curve[y],
    customdata: curve.regret.map((regret, i) => [rounded(regret), rounded(curve.normalised[i])]),
    line: {color: curve.color, dash: curve.dash, width: 1.5}, marker: {size: 4},
    hovertemplate: `${x === "seconds" ? "%{x:,.1f} s" : "%{x:,d} steps"}<br>regret %{customdata[0]}` +
      "<br>normalised %{customdata[1]}<extra>%{fullData.name}</extra>",
  }));
  const goal = y === "regret" ? Math.max(problem.goal, least) : data.target;
  draw(section.querySelector(".curves"), traces, {
    shapes: [{type: "line", xref: "paper", x0: 0, x1: 1, y0: goal, y1: goal, line: {color: "#888", dash: "dash", width: 1}}],
    annotations: [{
      xref: "paper", x: 1, y: y === "regret" ? Math.log10(goal) : goal, xanchor: "right", yanchor: "bottom",
      text: y === "regret" ? `${rounded(100 * (1 - data.target))} % of what random play loses` : `normalised ${data.target}`, showarrow: false, font: {color: "#888"},
    }],
    xaxis: {title: {text: x === "seconds" ? "seconds of training" : "steps"}, rangemode: "tozero"},
    yaxis: y === "regret"
      ? {type: "log", title: {text: "exact regret (money)" + (isCut ? `<br>less than ${least.toPrecision(1)} is drawn there` : "")}, exponentformat: "power", nticks: 8}
      : {title: {text: "normalised score"}},
  });
}

function drawDisagreements(section, problem) {
  const choice = section.querySelector(".run");
  if (!choice) return;
  for (const table of section.querySelectorAll("[data-run]")) table.hidden = table.dataset.run !== choice.value;
  const rows = problem.disagreements[choice.value], chart = section.querySelector(".disagreements");
  chart.hidden = rows.length === 0; // the text below says why; an empty axis would say nothing
  if (chart.hidden) return;
  const labels = rows.map((row) => `${row.state}: ${row.policy}, not ${row.optimum}`);
  // On a narrow screen the labels stand above the bars.
  chart.style.height = narrow.matches ? `${180 + 62 * rows.length}px` : `${120 + 36 * rows.length}px`;
  const above = labels.map((label, i) => ({
    text: wrapped(label, 46), xref: "paper", x: 0, y: i - 0.3, xanchor: "left", yanchor: "bottom", align: "left",
    showarrow: false, font: {size: 11},
  }));
  draw(chart, [{
    type: "bar", orientation: "h", y: rows.map((_, i) => i), x: rows.map((row) => row.regret),
    marker: {color: problem.curves.find((curve) => curve.title === choice.value).color}, width: narrow.matches ? 0.3 : 0.7,
    text: rows.map((row) => `${wrapped(row.state, 60)}<br>${plain(row.policy)}, not ${plain(row.optimum)}<br>` +
      `${rounded(row.occupancy)} times, ${rounded(row.gap)} each: ${rounded(row.regret)}<br>${(100 * row.share).toFixed(2)} % of the regret`),
    textposition: "none", hovertemplate: "%{text}<extra></extra>",
  }], {
    annotations: narrow.matches ? above : [],
    xaxis: {title: {text: "part of the regret (money in an episode)"}, rangemode: "tozero"},
    yaxis: {
      showticklabels: !narrow.matches, tickvals: rows.map((_, i) => i), automargin: true, zeroline: false,
      range: [rows.length - 0.4, narrow.matches ? -1 : -0.6],
      ticktext: labels.map((label) => wrapped(label, 64)),
    },
  });
}

function drawSection(section) {
  const problem = data.problems[section.dataset.name];
  if (problem) {
    if (problem.curves.length) drawCurves(section, problem);
    drawDisagreements(section, problem);
  } else if (section.dataset.name === "all") {
    drawIntervals(section.querySelector(".intervals"));
    drawProfiles(section.querySelector(".profiles"));
  }
}

function drawAll() { sections.forEach(drawSection); }

for (const choice of document.querySelectorAll("select")) {
  choice.addEventListener("change", () => drawSection(choice.closest("section")));
}
narrow.addEventListener("change", drawAll);
// On paper charts are as wide as a page, and the words for the columns are all there.
window.addEventListener("beforeprint", () => {
  for (const chart of document.querySelectorAll(".chart:not([hidden])")) Plotly.relayout(chart, {width: 680});
  for (const words of document.querySelectorAll("details")) words.open = true;
});
window.addEventListener("afterprint", () => {
  for (const chart of document.querySelectorAll(".chart:not([hidden])")) Plotly.relayout(chart, {width: null, autosize: true});
  for (const words of document.querySelectorAll("details")) words.open = false;
});
drawAll();
// Charts that were drawn since have moved what the address leads to.
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
