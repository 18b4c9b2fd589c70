// The curves of several runs over each other, each from its own start on; the page contains their numbers.

import { Charts, lineOf } from "./charts.js";
import { Columns, columnsOf } from "./model.js";
import { bytes, count, ms, plain } from "./words.js";

const { runs, own } = JSON.parse(document.getElementById("comparison").textContent);
const columns = runs.map((run) => columnsOf(run.seconds, run.fleet));
const nothing = { invalid: new Map(), saturated: new Map(), marks: new Map() };

/** A curve for each run: of several columns, the later ones are dashed. */
const overlaid = (name, title, of, more) => ({
  name, title, show: count, ...more,
  series: runs.flatMap((_, run) => Object.entries(of).map(([column, label], place) => ({
    column: `${run} ${column}`, label: label ? `${run + 1} ${label}` : `${run + 1}`, ...lineOf(run), ...(place ? { dash: [6, 4], thin: true } : {}) }))),
});
const overlaidTimes = (name, title, column = name) => overlaid(name, title, { [`${column} p99`]: "p99", [`${column} p50`]: "p50" }, { unit: "ms", log: true, show: ms });

const COMPARED = [
  overlaid("connections", "Open connections", { open: "" }),
  overlaid("arrivals", "Launched", { launched: "" }, { unit: "/s" }),
  overlaid("failed", "Failed", { failed: "" }, { unit: "/s" }),
  overlaid("closed", "Closed", { closed: "" }, { unit: "/s" }),
  overlaidTimes("handshake", "Handshake, dial to 101"),
  overlaidTimes("ping_rtt", "Ping, due to pong"),
  overlaidTimes("delivery", "Delivery, publish to receive"),
  overlaidTimes("http", "HTTP requests"),
  overlaid("messages", "Messages received", { messages_received: "" }, { unit: "/s" }),
  overlaid("lag", "The generator's own lateness, p99", { "loop_lag p99": "event loop", "lag p99": "launch" }, { unit: "ms", log: true, show: ms }),
  overlaid("cores", "CPU of the workers", { cores: "" }, { unit: "cores", show: plain }),
  overlaid("memory", "Memory of the workers", { rss: "" }, { show: bytes }),
];
const COMPARED_OWN = [
  ...own.timings.map((name, at) => ({ ...overlaidTimes(`timing.${name}`, name, `timing ${name}`), id: `timing-${at}` })),
  ...own.checks.map((name, at) => ({ ...overlaid(`check.${name}`, `${name}: passed`, { [`check ${name}`]: "" }, { unit: "%", show: plain }), id: `check-${at}` })),
  ...own.counters.map((name, at) => ({ ...overlaid(`counter.${name}`, name, { [`counter ${name}`]: "" }, { unit: "/s" }), id: `counter-${at}` })),
];

/** The columns of all runs over the seconds that any of them has. */
const all = new Columns();
all.seconds = [...new Set(runs.flatMap((run) => run.seconds))].sort((one, other) => one - other);
columns.forEach((of, run) => {
  const place = new Map(of.seconds.map((second, at) => [second, at]));
  for (const [name, values] of of.series) all.series.set(`${run} ${name}`, all.seconds.map((second) => values[place.get(second)] ?? null));
});

new Charts(document.getElementById("charts"), COMPARED, nothing, "chart", true).show(all);
document.getElementById("own").hidden = !COMPARED_OWN.length;
new Charts(document.getElementById("own-charts"), COMPARED_OWN, nothing, "own", true).show(all);
