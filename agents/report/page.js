"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const sections = [...document.querySelectorAll("section")];
const menu = document.getElementById("switch");
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6bb1"];

function draw(chart, traces, layout) {
  const common = {
    margin: {t: 10, r: 10}, hovermode: "closest", legend: {orientation: "h", y: -0.2},
    font: {family: "system-ui, sans-serif", size: 13},
  };
  Plotly.react(chart, traces, {...common, ...layout}, {displaylogo: false, responsive: true});
}

function colours(names) {
  const distinct = [...new Set(names)];
  return (name) => COLOURS[distinct.indexOf(name) % COLOURS.length];
}

function drawIntervals(chart) {
  const rows = data.intervals;
  draw(chart, [{
    type: "scatter", mode: "markers", y: rows.map((_, i) => i), x: rows.map((row) => row.iqm),
    marker: {size: 11, color: COLOURS[0]},
    error_x: {
      type: "data", symmetric: false, thickness: 3, color: COLOURS[0],
      array: rows.map((row) => (row.high ?? row.iqm) - row.iqm),
      arrayminus: rows.map((row) => row.iqm - (row.low ?? row.iqm)),
    },
    text: rows.map((row) => `${row.policy}: ${row.iqm}<br>95 %: ${row.low ?? "–"} to ${row.high ?? "–"}`),
    hovertemplate: "%{text}<extra></extra>",
  }], {
    xaxis: {title: {text: "normalised score, interquartile mean"}},
    yaxis: {
      tickvals: rows.map((_, i) => i), ticktext: rows.map((row) => row.policy),
      range: [rows.length - 0.4, -0.6], automargin: true, zeroline: false,
    },
  });
}

function drawProfiles(chart) {
  const names = Object.keys(data.profiles), colour = colours(names);
  const traces = names.flatMap((name) => {
    const line = {shape: "hv", color: colour(name)};
    const edge = {x: data.losses, type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
      legendgroup: name, line: {...line, width: 0}};
    return [
      {...edge, y: data.profiles[name].low},
      {...edge, y: data.profiles[name].high, fill: "tonexty", fillcolor: colour(name) + "22"},
      {x: data.losses, y: data.profiles[name].share, type: "scatter", mode: "lines", line, name,
        legendgroup: name,
        hovertemplate: "%{y:.3f} of the runs come nearer than %{x:.2g}<extra>%{fullData.name}</extra>"},
    ];
  });
  draw(chart, traces, {
    xaxis: {type: "log", autorange: "reversed", title: {text: "distance to the optimum, 1 − normalised score"}},
    yaxis: {range: [0, 1.02], title: {text: "share of runs that come nearer"}},
  });
}

function drawCurves(section, problem) {
  const x = section.querySelector(".abscissa").value, y = section.querySelector(".ordinate").value;
  const colour = colours(problem.curves.map((curve) => curve.algorithm));
  const least = problem.least; // a logarithmic axis has no zero
  const isCut = problem.curves.some((curve) => curve.regret.some((one) => one !== null && one < least));
  const traces = problem.curves.map((curve) => ({
    type: "scatter", mode: "lines+markers", name: curve.title, x: curve[x],
    y: y === "regret" ? curve.regret.map((one) => one === null ? null : Math.max(one, least)) : curve[y],
    customdata: curve.regret.map((regret, i) => [regret, curve.normalised[i]]),
    line: {color: colour(curve.algorithm), width: 1.5}, marker: {size: 4},
    hovertemplate: `%{x:,.5~g} ${x === "seconds" ? "s" : "steps"}<br>regret %{customdata[0]}` +
      "<br>normalised %{customdata[1]}<extra>%{fullData.name}</extra>",
  }));
  const goal = y === "regret" ? Math.max(problem.goal, least) : data.target;
  draw(section.querySelector(".curves"), traces, {
    shapes: [{type: "line", xref: "paper", x0: 0, x1: 1, y0: goal, y1: goal, line: {color: "#888", dash: "dash", width: 1}}],
    annotations: [{
      xref: "paper", x: 1, y: y === "regret" ? Math.log10(goal) : goal, xanchor: "right", yanchor: "bottom",
      text: `normalised ${data.target}`, showarrow: false, font: {color: "#888"},
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
  const rows = problem.disagreements[choice.value];
  draw(section.querySelector(".disagreements"), [{
    type: "bar", orientation: "h", y: rows.map((_, i) => i), x: rows.map((row) => row.regret),
    marker: {color: COLOURS[1]},
    text: rows.map((row) => `${row.state}<br>${row.policy}, not ${row.optimum}<br>${row.occupancy} times, ` +
      `${row.gap} each: ${row.regret}<br>${(100 * row.share).toFixed(2)} % of the regret`),
    textposition: "none", hovertemplate: "%{text}<extra></extra>",
  }], {
    xaxis: {title: {text: "part of the regret (money in an episode)"}, rangemode: "tozero"},
    yaxis: {
      tickvals: rows.map((_, i) => i), automargin: true, zeroline: false,
      range: [Math.max(rows.length, 1) - 0.4, -0.6],
      ticktext: rows.map((row) => `${row.state}: ${row.policy}, not ${row.optimum}`),
    },
  });
}

function drawSection(section) {
  const problem = data.problems[section.dataset.name];
  if (problem) {
    drawCurves(section, problem);
    drawDisagreements(section, problem);
  } else {
    drawIntervals(section.querySelector(".intervals"));
    drawProfiles(section.querySelector(".profiles"));
  }
}

function show() {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("env");
  const shown = sections.find((section) => section.dataset.name === wanted) ?? sections[0];
  for (const section of sections) section.hidden = section !== shown;
  menu.value = shown.dataset.name;
  document.title = `qc-gym: ${shown.querySelector("h2").textContent}`;
  drawSection(shown);
}

for (const section of sections) {
  menu.add(new Option(section.querySelector("h2").textContent, section.dataset.name));
  for (const choice of section.querySelectorAll("select")) {
    choice.addEventListener("change", () => drawSection(section));
  }
}
menu.addEventListener("change", () => { location.hash = `env=${encodeURIComponent(menu.value)}`; });
window.addEventListener("hashchange", show);
show();
