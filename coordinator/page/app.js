// The live page: follows /events, keeps the model, and draws it. A lost connection is taken up where it broke.

import { AGENT, Charts, FLEET, drawBars, put, serverCharts } from "./charts.js";
import { controls, logIn } from "./controls.js";
import { Model } from "./model.js";
import { addLog, showAgents, showEnds, showHero, showLatencies, showState } from "./panels.js";
import { clock } from "./words.js";

const $ = (id) => document.getElementById(id);
const QUIET = 3500; // milliseconds without an event after which the link counts as broken
const GIVE_UP = 10000; // and after which it is opened anew

let model = null;
let now = null;
let charts = null;
let agentCharts = null;
let chosen = null;
const servers = new Map();
let source = null;
let lastId = "";
let heard = performance.now();
let received = heard;
let dirty = false;
const buttons = controls($("controls"));

/** Another run, or the first: nothing of the one before may stay. */
function begin(head) {
  model = new Model(head);
  now = null;
  choose(null);
  charts?.remove();
  charts = new Charts($("charts"), FLEET, model.invalid);
  servers.clear();
  for (const id of ["log", "agents", "bars", "servers"]) $(id).replaceChildren();
  put($("foot"), `loadgen ${head.version}, run ${head.key}`);
}

function open() {
  source?.close();
  source = new EventSource(`/events${lastId ? `?after=${encodeURIComponent(lastId)}` : ""}`);
  const on = (kind, take) => source.addEventListener(kind, (event) => {
    heard = performance.now();
    if (event.lastEventId) lastId = event.lastEventId;
    take(JSON.parse(event.data));
    dirty = true;
  });
  on("run", begin);
  on("second", (sample) => model.take(sample));
  on("watch", (reading) => model.watch(reading));
  on("log", addLog);
  on("now", (standing) => {
    now = standing;
    received = performance.now();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) refused();
  });
}

/** The stream was refused, or the coordinator is gone: the token is asked for, or it is tried again. */
async function refused() {
  const status = await fetch("/v1/run", { method: "HEAD" }).then((reply) => reply.status, () => 0);
  if (status === 401) logIn(open);
  else setTimeout(open, 1000);
}

/** Draws what changed, at most once a frame; a page that nobody sees draws nothing. */
function draw() {
  if (!dirty || !model || document.hidden) return;
  dirty = false;
  charts.show(model.fleet);
  for (const id of ["servers-section", "servers-link"]) $(id).hidden = model.watched.size === 0;
  for (const [name, columns] of model.watched) {
    if (!servers.has(name)) servers.set(name, serverCharts($("servers"), name, model.invalid));
    servers.get(name).show(columns);
  }
  if (!now) return;
  showState(now);
  buttons.show(now);
  showHero(now, model);
  showLatencies(now);
  showEnds(now);
  drawBars($("bars"), now.bars);
  grid();
  if (chosen && agentCharts) agentCharts.show(model.agent(chosen));
}

function grid() {
  if (now && model) showAgents(now, model, (performance.now() - received) / 1000, chosen, choose);
}

/** Shows an agent's own series; the same again, or none, closes them. */
function choose(name) {
  const before = chosen;
  chosen = name === chosen ? null : name;
  agentCharts?.remove();
  agentCharts = null;
  $("agent").hidden = chosen === null;
  if (chosen !== null) {
    put($("agent-title"), `Agent ${chosen}`);
    agentCharts = new Charts($("agent-charts"), AGENT, model.invalid, "agent");
    agentCharts.show(model.agent(chosen));
    $("agent-title").focus();
    $("agent").scrollIntoView({ block: "nearest" });
  } else if (before !== null) {
    for (const button of $("agents").querySelectorAll("button")) if (button.dataset.agent === before) button.focus();
  }
  grid();
}

/** Says whether the numbers are alive; agents are not accused of a silence that is the coordinator's. */
function mind() {
  const quiet = performance.now() - heard;
  const over = now?.state === "done";
  const live = quiet < QUIET;
  $("link").dataset.live = String(live);
  put($("link"), live ? "live" : over ? "the run is over" : "no connection");
  $("banner").hidden = live || over || now === null;
  if (!live && !over) put($("banner"), `The coordinator has not been heard for ${clock(quiet / 1000)}; the numbers below stand still. Trying again…`);
  if (live) grid();
  if (quiet > GIVE_UP && !over && now !== null) {
    heard = performance.now() - QUIET;
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
setInterval(mind, 250);
open();
