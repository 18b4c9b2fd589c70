// The charts of a finished run, in a report that contains its numbers.

import { AGENT, Charts, FLEET, drawBars, serverCharts } from "./charts.js";
import { columnsOf } from "./model.js";

const run = JSON.parse(document.getElementById("run").textContent);
const marks = { invalid: new Map(run.invalid), saturated: new Map(run.saturated) };
const all = [];

function draw(parent, definitions, series, prefix) {
  const charts = new Charts(parent, definitions, marks, prefix, true);
  charts.show(columnsOf(run.seconds, series));
  all.push(charts);
}

draw(document.getElementById("charts"), FLEET, run.fleet, "chart");
drawBars(document.getElementById("bars"), run.bars);
for (const [name, of] of Object.entries(run.watched)) {
  const charts = serverCharts(document.getElementById("servers"), name, marks, true);
  charts.show(columnsOf(of.seconds, of.series));
  all.push(charts);
}
for (const details of document.querySelectorAll("details[data-agent]")) {
  details.addEventListener("toggle", () => {
    const parent = details.querySelector(".charts");
    const name = details.dataset.agent;
    if (details.open && !parent.childElementCount) draw(parent, AGENT, run.agents[name], `agent-${name}`);
  });
}
matchMedia("print").addEventListener("change", () => all.forEach((charts) => charts.charts.forEach((chart) => chart.redraw())));
