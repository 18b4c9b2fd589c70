// The live page: follows /events, keeps the model and draws it. After a lost connection it continues with the next event.

import { AGENT, Charts, FLEET, OwnCharts, drawBars, put, serverCharts } from "./charts.js";
import { controls, logIn } from "./controls.js";
import { Model } from "./model.js";
import { addLog, showAgents, showEnds, showHero, showLatencies, showParts, showSessions, showState } from "./panels.js";
import { clock } from "./words.js";

const $ = (id) => document.getElementById(id);
const QUIET_AFTER = 3500; // milliseconds without an event after which the connection counts as lost
const REOPEN_AFTER = 10000; // milliseconds without an event after which it is opened again

let model = null;
let now = null;
let charts = null;
let ownCharts = null;
let agentCharts = null;
let chosen = null;
const servers = new Map();
let source = null;
let lastId = "";
let lastEventAt = performance.now();
let overviewAt = lastEventAt;
let dirty = false;
const buttons = controls($("controls"));

/** Begins with the first run or with another one: nothing of the run before it stays. */
function begin(preamble) {
  model = new Model(preamble);
  now = null;
  choose(null);
  charts?.remove();
  charts = new Charts($("charts"), FLEET, model);
  ownCharts?.remove();
  ownCharts = new OwnCharts($("own"), $("own-charts"), model, "own");
  put($("own-key"), `Of each kind the first ${preamble.most_drawn} names are drawn; the tables have all.`);
  servers.clear();
  for (const id of ["log", "agents", "bars", "servers"]) $(id).replaceChildren();
  put($("foot"), `loadgen ${preamble.version}, run ${preamble.key}`);
}

function open() {
  source?.close();
  source = new EventSource(`/events${lastId ? `?after=${encodeURIComponent(lastId)}` : ""}`);
  const on = (kind, take) => source.addEventListener(kind, (event) => {
    lastEventAt = performance.now();
    if (event.lastEventId) lastId = event.lastEventId;
    take(JSON.parse(event.data));
    dirty = true;
  });
  on("run", begin);
  on("second", (sample) => model.take(sample));
  on("watch", (scrape) => model.takeScrape(scrape));
  on("log", addLog);
  on("now", (overview) => {
    now = overview;
    for (const { second, what } of now.changes) if (second !== null) model.marks.set(second, what);
    if (now.aborted) model.marks.set(now.aborted.second, `aborted: ${now.aborted.why}`);
    overviewAt = performance.now();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) refused();
  });
}

/** After a refused stream, asks for the token; otherwise the coordinator is down, and it tries again. */
async function refused() {
  const status = await fetch("/v1/run", { method: "HEAD" }).then((reply) => reply.status, () => 0);
  if (status === 401) logIn(open);
  else setTimeout(open, 1000);
}

/** Draws what has changed, at most once a frame; a hidden page draws nothing. */
function draw() {
  if (!dirty || !model || document.hidden) return;
  dirty = false;
  charts.show(model.fleet);
  ownCharts.show(model.fleet);
  for (const id of ["servers-section", "servers-link"]) $(id).hidden = model.watched.size === 0;
  for (const [name, columns] of model.watched) {
    if (!servers.has(name)) servers.set(name, serverCharts($("servers"), name, model));
    servers.get(name).show(columns);
  }
  if (!now) return;
  showState(now);
  buttons.show(now);
  showHero(now, model);
  showLatencies(now);
  showEnds(now);
  showSessions(now);
  showParts(now);
  drawBars($("bars"), now.bars);
  drawAgents();
  if (chosen && agentCharts) agentCharts.show(model.agent(chosen));
}

function drawAgents() {
  if (now && model) showAgents(now, model, (performance.now() - overviewAt) / 1000, chosen, choose);
}

/** Shows an agent's own charts; the same agent again, or null, closes them. */
function choose(name) {
  const before = chosen;
  chosen = name === chosen ? null : name;
  agentCharts?.remove();
  agentCharts = null;
  $("agent").hidden = chosen === null;
  if (chosen !== null) {
    put($("agent-title"), `Agent ${chosen}`);
    agentCharts = new Charts($("agent-charts"), AGENT, model, "agent");
    agentCharts.show(model.agent(chosen));
    $("agent-title").focus();
    $("agent").scrollIntoView({ block: "nearest" });
  } else if (before !== null) {
    for (const button of $("agents").querySelectorAll("button")) if (button.dataset.agent === before) button.focus();
  }
  drawAgents();
}

/** Shows whether the numbers are live. While the coordinator is silent, no agent is shown as silent. */
function checkConnection() {
  const quiet = performance.now() - lastEventAt;
  const over = now?.state === "done";
  const live = quiet < QUIET_AFTER;
  $("link").dataset.live = String(live);
  put($("link"), live ? "live" : over ? "the run is over" : "no connection");
  $("banner").hidden = live || over || now === null;
  if (!live && !over) put($("banner"), `No event from the coordinator for ${clock(quiet / 1000)}; the numbers below stand still. Trying again…`);
  if (live) drawAgents();
  if (quiet > REOPEN_AFTER && !over && now !== null) {
    lastEventAt = performance.now() - QUIET_AFTER;
    open();
  }
}

$("agent-close").addEventListener("click", () => choose(null));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen !== null && !event.defaultPrevented) choose(null);
});
document.addEventListener("visibilitychange", () => {
  dirty = true;
});
(function frame() {
  draw();
  requestAnimationFrame(frame);
})();
setInterval(checkConnection, 250);
open();
