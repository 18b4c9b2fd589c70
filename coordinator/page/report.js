// The charts of a finished run, in a report that contains its numbers.

import { AGENT, Charts, FLEET, OwnCharts, drawBars, serverCharts } from "./charts.js";
import { columnsOf } from "./model.js";

const run = JSON.parse(document.getElementById("run").textContent);
const marked = { invalid: new Map(run.invalid), saturated: new Map(run.saturated), marks: new Map(run.marks) };
const all = [];

function draw(parent, definitions, series, prefix) {
  const charts = new Charts(parent, definitions, marked, prefix, true);
  charts.show(columnsOf(run.seconds, series));
  all.push(charts);
}

draw(document.getElementById("charts"), FLEET, run.fleet, "chart");
const own = new OwnCharts(document.getElementById("own"), document.getElementById("own-charts"), marked, "own", true);
own.show(columnsOf(run.seconds, run.fleet));
all.push(own);
drawBars(document.getElementById("bars"), run.bars);
for (const [name, of] of Object.entries(run.watched)) {
  const charts = serverCharts(document.getElementById("servers"), name, marked, true);
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
