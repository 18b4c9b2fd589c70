// The charts of several runs in the order of their start; the page contains their figures.

import { Charts, lineOf } from "./charts.js";
import { columnsOf } from "./model.js";
import { count, ms, plain } from "./words.js";

const trend = JSON.parse(document.getElementById("trend").textContent);
const runs = { tick: (at) => (trend.runs[at] ? String(at + 1) : ""), place: (at) => `run ${at + 1}, ${trend.runs[at].name}` };

const fromRunToRun = (name, title) => ({
  name, title, unit: "ms", show: ms, runs,
  series: [{ column: `${name}_p50`, label: "p50", color: 1 }, { column: `${name}_p99`, label: "p99", color: 2 }],
});

const TREND = [
  { name: "connections", title: "Connections", show: count, runs, series: [
    { column: "open_peak", label: "open at the peak", color: 1 },
    { column: "opened", label: "opened", color: 3, dash: [6, 4] }] },
  { name: "ends", title: "Failed, lost and late", show: count, runs, series: [
    { column: "failed", label: "failed", color: 2 },
    { column: "lost", label: "lost", color: 6, dash: [6, 4] },
    { column: "late", label: "late", color: 4, dash: [2, 3] }] },
  { name: "arrivals", title: "Arrivals", unit: "/s", show: plain, runs, series: [{ column: "rate_achieved", label: "achieved", color: 1 }] },
  { name: "plateau", title: "Held near the peak", unit: "s", show: count, runs, series: [{ column: "plateau_s", label: "held", color: 1 }] },
  fromRunToRun("handshake", "Handshake, dial to 101"),
  fromRunToRun("open", "Open, from when it was due"),
  fromRunToRun("ping_rtt", "Ping, due to pong"),
  fromRunToRun("delivery", "Delivery, publish to receive"),
  { name: "lag", title: "The generator's own lateness, p99", unit: "ms", show: ms, runs, series: [
    { column: "lag_p99", label: "launch", color: 1 },
    { column: "loop_lag_p99", label: "event loop", color: 2 }] },
  { name: "messages", title: "Messages of the whole run", show: count, runs, series: [
    { column: "messages_received", label: "received", color: 1 },
    { column: "pings", label: "pings", color: 2 }] },
];

/** The charts of what sessions check, time and count, of the first names of each kind. */
const namesOf = (kind) => Object.keys(trend.figures).filter((name) => name.startsWith(kind));
const MAX_OWN = 20;
const ownTimings = namesOf("timing.").filter((name) => name.endsWith("_p99")).slice(0, MAX_OWN).map((name, at) => {
  const timing = name.slice(0, -"_p99".length);
  return { ...fromRunToRun(timing, timing.slice("timing.".length)), id: `timing-${at}` };
});
const ownOf = (kind, name, title, show, unit) => ({ name, title, show, unit, runs,
  series: namesOf(kind).slice(0, MAX_OWN).map((figure, at) => ({ column: figure, label: figure.slice(kind.length), ...lineOf(at) })) });
const TREND_OWN = [...ownTimings, ownOf("check.", "checks", "Checks of sessions that passed", plain, "%"),
  ownOf("counter.", "counters", "Counted by sessions in the whole run", count)];

const figures = Object.fromEntries(Object.entries(trend.figures).map(([name, steps]) => [name, steps.map((step) => step.value)]));
new Charts(document.getElementById("charts"), [...TREND, ...TREND_OWN], { invalid: new Map(), saturated: new Map(), marks: new Map() }, "trend").show(columnsOf(trend.runs.map((_, at) => at), figures));
