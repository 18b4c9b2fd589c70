// The parts of the page that show the run as it stands. All text is set as text, never as HTML: agents and servers write names and reasons.

import { put } from "./charts.js";
import { bytes, clock, count, ms } from "./words.js";

const FIGURES = ["opening", "CPU", "memory", "lag", "late", "heard"];
const PLACED = new Set(["checks_passed", "checks_failed", "http_requests", "http_errors",
  "launched", "relaunched", "opened", "accepted", "lost", "late",
  "pings", "pongs", "messages_received", "bytes_sent", "bytes_received"]); // counters with a place of their own; the others follow
const SILENT_AFTER = 2.2; // seconds without a post of an agent, which posts every second
const $ = (id) => document.getElementById(id);

function cell(text, attributes = {}) {
  const made = document.createElement("td");
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Writes the rows of a table. A cell that has not changed stays, with its focus and a click under way. */
function rows(table, lines, row) {
  const text = JSON.stringify(lines);
  if (table.dataset.shown === text) return;
  table.dataset.shown = text;
  const body = table.tBodies[0];
  while (body.rows.length > lines.length) body.deleteRow(-1);
  lines.forEach((line, at) => {
    const shown = body.rows[at] ?? body.insertRow();
    row(line).forEach((made, place) => {
      const old = shown.cells[place];
      if (!old) shown.append(made);
      else if (!old.isEqualNode(made)) old.replaceWith(made);
    });
  });
}

const heading = (text) => {
  const made = document.createElement("th");
  made.scope = "row";
  made.textContent = text;
  return made;
};

export function showState(now) {
  const state = now.outcome || (now.paused ? "paused" : now.state);
  put($("state"), state);
  $("state").dataset.state = state;
  put($("clock"), now.state === "gathering" ? `${now.agents.length} of ${now.wanted} agents`
    : `${now.phases.length > 1 && now.phase ? `${now.phase}, ` : ""}${clock(now.age_s)}${now.left_s === null ? "" : `, ${clock(now.left_s)} left`}`);
  put($("target"), now.plan.target);
  $("insecure").hidden = !now.insecure;
  document.title = `${count(now.ledger.open)} open · ${state} · loadgen`;
}

export function showHero(now, model) {
  const { ledger, totals } = now;
  put($("open"), count(ledger.open));
  const asked = ledger.planned - totals.relaunched; // the ledger counts users that come back as planned, too
  put($("planned"), count(asked));
  const alive = model.fleet.column("alive").at(-1);
  const within = model.preamble.alive_within_s;
  put($("alive"), within === null ? "life is not verified: no session can ping"
    : `${count(alive ?? 0)} verified alive: answered within ${within} s`);
  const part = asked ? Math.min(1, ledger.open / asked) : 0;
  $("progress-bar").style.transform = `scaleX(${part})`;
  $("progress").setAttribute("aria-valuenow", String(Math.round(100 * part)));
  const sum = (reasons) => Object.values(reasons).reduce((all, number) => all + number, 0);
  const wrong = (name, number, level = "bad") => [name, count(number), number ? level : ""];
  facts([
    ["launched", count(ledger.launched)], ["not started", count(ledger.not_started)], ["connecting", count(ledger.connecting)],
    ["opened", count(ledger.opened)], ...(now.appwrite || ledger.accepted ? [["accepted", count(ledger.accepted)]] : []),
    wrong("failed", sum(ledger.failed)), ["closed", count(sum(ledger.closed))], wrong("ended unexpectedly", sum(now.unexpected)),
    wrong("lost", ledger.lost), wrong("late", ledger.late, "warning"),
    ...(totals.relaunched ? [["launched again", count(totals.relaunched)]] : []),
    ...(totals.tls_handshakes ? [["TLS handshakes / resumed", `${count(totals.tls_handshakes)} / ${count(totals.tls_resumed)}`]] : []),
    ["pings / pongs", `${count(totals.pings)} / ${count(totals.pongs)}`], ["messages received", count(totals.messages_received)],
    ["sent", bytes(totals.bytes_sent)], ["received", bytes(totals.bytes_received)],
    wrong("invalid seconds", model.invalid.size, "warning"), ["saturated seconds", count(model.saturated.size)],
    ...(now.publications ? [["publications", count(now.publications.sent)],
      ["reach", now.reach === null ? "not measured yet" : `${Math.floor(now.reach * 1e4) / 1e4} %`]] : []),
    ...Object.entries(totals).filter(([name, number]) => number && !PLACED.has(name))
      .map(([name, number]) => [name.replaceAll("_", " "), count(number), name === "sessions_failed" ? "bad" : ""]),
    ...Object.entries(now.counters).map(([name, number]) => [name, count(number)])]);
}

function facts(pairs) {
  const list = $("facts");
  if ([...list.children].map((pair) => pair.firstChild.textContent).join() !== pairs.map(([name]) => name).join()) {
    list.replaceChildren(...pairs.map(([name]) => {
      const pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      pair.firstChild.textContent = name;
      pair.lastChild.dataset.fact = name;
      return pair;
    }));
  }
  pairs.forEach(([, value, level], at) => {
    const shown = list.children[at].lastChild;
    put(shown, value);
    shown.dataset.level = level ?? "";
  });
}

export function showLatencies(now) {
  const lines = Object.entries({ ...now.histograms, ...now.timings }).map(([name, of]) => [name, count(of.count), ...["p50", "p90", "p95", "p99", "p999", "max"].map((statistic) => ms(of[statistic]))]);
  rows($("latencies"), lines, ([name, ...values]) => [heading(name), ...values.map((value) => cell(value))]);
}

function sampleLink(name, path) {
  const sample = document.createElement("a");
  sample.href = path;
  sample.textContent = "sample";
  sample.setAttribute("aria-label", `sample of ${name}`);
  return sample;
}

export function showEnds(now) {
  const of = (kind) => Object.entries(now.ledger[kind]).sort((a, b) => b[1] - a[1]).map(([reason, number]) => [reason, kind, number, now.culprits[reason] ?? "unknown", now.samples[reason]]);
  const lines = [...of("failed"), ...of("closed")];
  if (now.ledger.lost) lines.push(["agent or worker died", "lost", now.ledger.lost, "generator"]);
  put($("ends-none"), lines.length ? "" : "None so far.");
  rows($("ends"), lines, ([reason, kind, number, whose, path]) => {
    const fault = document.createElement("span");
    fault.className = "fault";
    fault.dataset.who = whose;
    fault.textContent = whose;
    const last = cell("");
    last.append(fault);
    if (path) {
      last.append(" ", sampleLink(reason, path));
    }
    return [heading(reason), cell(kind), cell(count(number)), last];
  });
}

function showTable(name, lines) {
  $(`${name}-section`).hidden = !lines.length;
  rows($(name), lines, ([title, path, ...values]) => {
    const cells = values.map((value) => cell(value));
    if (path) cells.at(-1).append(" ", sampleLink(title, path));
    return [heading(title), ...cells];
  });
}

const share = ({ passed, failed }) => 100 * passed / (passed + failed);
const percent = (value) => `${Math.floor(value * 1e4) / 1e4} %`; // rounded down: 100 % is all

/** Shows the checks of sessions, those that failed most first, and the ends of their HTTP requests. */
export function showSessions(now) {
  showTable("checks", Object.entries(now.checks).sort((a, b) => share(a[1]) - share(b[1]))
    .map(([name, of]) => [name, now.samples[`check.${name}`], count(of.passed), count(of.failed), percent(share(of))]));
  const of = (kind, word) => Object.entries(now[kind]).sort((a, b) => b[1] - a[1])
    .map(([reason, number]) => [reason, now.samples[`${kind}.${reason}`], word, count(number), now.http_culprits[kind][reason]]);
  showTable("http", [...of("http_replies", "reply"), ...of("http_failed", "failed")]);
}

/** An agent's health as a colour and a word: red when it is lost, refuses, or is silent for too long. */
export function healthOf(agent, silent, state) {
  if (agent.status === "lost" || agent.status === "refused") return ["bad", agent.status];
  if (agent.status === "finished") return ["good", "finished"];
  if (silent >= SILENT_AFTER && state !== "done") return ["bad", `silent for ${silent.toFixed(0)} s`];
  if (agent.preflight) return ["warn", agent.status];
  return ["good", agent.status];
}

const byName = new Intl.Collator("en", { numeric: true });

/** Draws the agents. `since` is the age of the numbers in seconds; `chosen` is the agent whose charts are open. */
export function showAgents(now, model, since, chosen, choose) {
  const list = $("agents");
  put($("agents-count"), `${now.agents.length} of ${now.wanted}`);
  const inOrder = [...now.agents].sort((one, other) => byName.compare(one.name, other.name));
  inOrder.forEach((agent, at) => {
    const button = list.children[at]?.firstChild ?? newAgent(list, choose);
    const columns = model.agents.get(agent.name);
    const last = (series) => columns?.column(series).at(-1) ?? null;
    const silent = agent.silent_s + since;
    const [health, word] = healthOf(agent, silent, now.state);
    const [title, number, figures, preflight] = button.children;
    button.dataset.agent = agent.name;
    button.dataset.health = health;
    button.setAttribute("aria-expanded", String(agent.name === chosen));
    put(title.firstChild, agent.name);
    put(title.lastChild, word);
    put(number, `${count(agent.ledger.open)} open`);
    const lost = agent.status === "lost";
    const [cores, lag] = lost ? [null, null] : [last("cores"), last("loop_lag")];
    const values = [lost ? "–" : `${count(last("opened"))}/s`, cores === null ? "–" : `${(100 * cores).toFixed(0)} %`,
      lost ? "–" : bytes(last("rss")), lag === null ? "–" : `${ms(lag)} ms`, count(agent.ledger.late),
      silent < 1 ? "now" : silent < 100 ? `${silent.toFixed(0)} s ago` : `${clock(silent)} ago`];
    values.forEach((value, place) => put(figures.children[place].lastChild, value));
    put(preflight, agent.refusal || agent.preflight || (agent.status === "joined" ? "preflight under way" : "preflight passed"));
    preflight.dataset.passed = String(!agent.refusal && !agent.preflight);
  });
  while (list.childElementCount > now.agents.length) list.lastChild.remove();
}

function newAgent(list, choose) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-controls", "agent");
  const part = (name, ...children) => {
    const made = document.createElement("span");
    made.className = name;
    made.append(...children);
    return made;
  };
  const figures = FIGURES.map((name) => part("figure", `${name} `, document.createElement("b")));
  button.append(part("who", part("what"), part("health")), part("count"), part("figures", ...figures), part("preflight"));
  button.addEventListener("click", () => choose(button.dataset.agent));
  const item = document.createElement("li");
  item.append(button);
  list.append(item);
  return button;
}

const MAX_LINES = 300;

export function addLog(event) {
  const line = document.createElement("li");
  const [time, text] = [document.createElement("time"), document.createElement("span")];
  time.textContent = clock(event.at);
  text.textContent = event.agent && !event.text.includes(event.agent) ? `${event.agent}: ${event.text}` : event.text;
  text.dataset.level = event.level;
  line.append(time, text);
  const log = $("log");
  log.prepend(line);
  if (log.childElementCount > MAX_LINES) log.lastChild.remove();
}
