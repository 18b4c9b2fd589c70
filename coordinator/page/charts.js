// Charts over the seconds of a run, drawn by uPlot; live page and report share them.

import { NONE, bytes, clock, count, ms, plain, short } from "./words.js";

const HEIGHT = 170;
const POWERS = Array.from({ length: 45 }, (_, power) => 2 ** power); // steps of an axis that are round in binary units
const WHOLE = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(); // steps of an axis of whole numbers
const SECONDS = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((step) => 60 * step), ...[1, 2, 4, 8].map((step) => 3600 * step),
  ...Array.from({ length: 10 }, (_, power) => 86400 * 2 ** power)]; // steps of the axis of time: a fraction of a second has no text of its own
const PERCENTILES = [["p50", 1], ["p90", 3], ["p95", 6], ["p99", 2], ["max", 4]];

const latency = (name, title) => ({
  name, title, unit: "ms", log: true, show: ms,
  series: PERCENTILES.map(([statistic, color]) => ({ column: `${name} ${statistic}`, label: statistic, color, thin: statistic === "max" })),
});

const FAULTS = { server: 2, network: 4, generator: 6, session: 3, nobody: 1 }; // the colour of each fault
const DASHES = [null, [6, 4], [2, 3], [10, 3, 2, 3]]; // the lines of the reasons with the same fault
const MAX_ENDS = 8;

/** The series of the most frequent reasons of failures and closes, and one of all others. */
function endsOf(columns) {
  const total = new Map([...columns.series].filter(([name]) => name.startsWith("end "))
    .map(([name, values]) => [name, values.reduce((sum, value) => sum + (value ?? 0), 0)]));
  const names = [...total.keys()].sort((one, other) => total.get(other) - total.get(one));
  const seen = {};
  const series = names.slice(0, MAX_ENDS).map((name) => {
    const [fault, reason] = name.slice("end ".length).split(/: (.*)/s);
    seen[fault] = (seen[fault] ?? -1) + 1;
    return { of: [name], label: `${reason} (${fault})`, color: FAULTS[fault] ?? 5, dash: DASHES[seen[fault] % DASHES.length] };
  });
  const others = names.slice(MAX_ENDS);
  return others.length ? [...series, { of: others, label: `${others.length} other reasons`, color: 5, dash: DASHES[2] }] : series;
}

const COLORS = [1, 2, 3, 4, 6];
const MAX_PARTS = COLORS.length * DASHES.length;

/** The series of a figure, one for each session or each target; those beyond MAX_PARTS are left out, and the last label says so. */
const byPart = (kind, figure) => (columns) => {
  const names = [...columns.series.keys()].filter((name) => name.startsWith(`${kind}.`) && name.endsWith(` ${figure}`));
  const more = names.length - MAX_PARTS;
  return names.slice(0, MAX_PARTS).map((column, at) => ({
    column, color: COLORS[at % COLORS.length], dash: DASHES[Math.floor(at / COLORS.length)],
    label: column.slice(kind.length + 1, -figure.length - 1) + (more > 0 && at === MAX_PARTS - 1 ? ` (${more} more are not drawn)` : "") }));
};

/** The charts by session or by target, which show where results are split. */
const chartsBy = (kind) => [
  { name: `${kind}-open`, title: `Open by ${kind}`, show: count, series: byPart(kind, "open") },
  { name: `${kind}-opened`, title: `Opened by ${kind}`, unit: "/s", show: count, series: byPart(kind, "opened") },
  { name: `${kind}-failed`, title: `Failed by ${kind}`, unit: "/s", show: count, series: byPart(kind, "failed") },
  { name: `${kind}-ping`, title: `Ping, due to pong, p99 by ${kind}`, unit: "ms", log: true, show: ms, series: byPart(kind, "ping_rtt_p99_ms") },
];

/** The values of a series: a column, or the sum of several. */
function valuesOf(columns, series) {
  if (!series.of) return columns.column(series.column);
  return columns.seconds.map((_, at) => series.of.reduce((sum, name) => sum + (columns.column(name)[at] ?? 0), 0));
}

/** The fleet's charts: their columns and colours, and the format and the unit of their values. */
export const FLEET = [
  { name: "connections", title: "Connections", show: count, series: [
    { column: "open", label: "open", color: 1, fill: true },
    { column: "alive", label: "verified alive", color: 3 },
    { column: "connecting", label: "connecting", color: 2 }] },
  { name: "arrivals", title: "Arrivals", unit: "/s", show: count, series: [
    { column: "asked", label: "asked", color: 5, dash: [6, 4] },
    { column: "launched", label: "achieved", color: 1 },
    { column: "opened", label: "opened", color: 3 },
    { column: "late", label: "late", color: 2, dash: [2, 3] }] },
  { name: "ends", title: "Failures and closes", unit: "/s", show: count, series: endsOf },
  ...chartsBy("session"),
  ...chartsBy("target"),
  latency("handshake", "Handshake, dial to 101"),
  latency("ping_rtt", "Ping, due to pong"),
  latency("delivery", "Delivery, publish to receive"),
  { name: "messages", title: "Messages", unit: "/s", show: count, series: [
    { column: "messages_received", label: "received", color: 1 },
    { column: "pings", label: "pings", color: 2 },
    { column: "pongs", label: "pongs", color: 3, dash: [6, 4] }] },
  { name: "bytes", title: "Traffic", unit: "/s", show: bytes, series: [
    { column: "bytes_sent", label: "sent", color: 2 },
    { column: "bytes_received", label: "received", color: 1 }] },
  { name: "lag", title: "The generator's own lateness, p99", unit: "ms", log: true, show: ms, series: [
    { column: "lag p99", label: "launch", color: 1 },
    { column: "loop_lag p99", label: "event loop", color: 2 }] },
  { name: "cores", title: "CPU of the workers", unit: "cores", show: plain, series: [{ column: "cores", label: "busy", color: 1, fill: true }] },
  { name: "memory", title: "Memory of the workers", show: bytes, series: [{ column: "rss", label: "resident", color: 4, fill: true }] },
];

/** The names in columns with a prefix: of counters, checks or timings of sessions. */
export const named = (columns, prefix) => [...columns.series.keys()].filter((column) => column.startsWith(prefix)).map((column) => column.slice(prefix.length));

const LINE_COLORS = [1, 2, 3, 4, 6, 5];

/** A colour, and after each round of colours another dash: 24 lines differ. */
export const lineOf = (at) => ({ color: LINE_COLORS[at % LINE_COLORS.length], dash: DASHES[Math.floor(at / LINE_COLORS.length) % DASHES.length] });

const each = (prefix) => (columns) => named(columns, prefix).map((name, at) => ({ column: `${prefix}${name}`, label: name, ...lineOf(at) }));
const eachOrZero = (prefix) => (columns) => each(prefix)(columns).map(({ column, ...series }) => ({ of: [column], ...series }));

/** What sessions count, check and time: the charts that all names of a kind share. */
const OWN = [
  { name: "counters", title: "Counted by sessions", unit: "/s", show: count, series: each("counter ") },
  { name: "checks", title: "Checks of sessions that passed", unit: "%", show: plain, series: each("check ") },
  { name: "timed", title: "Timed by sessions", unit: "/s", show: count, series: eachOrZero("timed ") },
];

/** One agent's own charts. */
export const AGENT = [
  { ...FLEET[0], series: [{ column: "open", label: "open", color: 1, fill: true }] },
  { name: "arrivals", title: "Arrivals", unit: "/s", show: count, series: [
    { column: "launched", label: "launched", color: 1 },
    { column: "opened", label: "opened", color: 3 },
    { column: "failed", label: "failed", color: 2 }] },
  { name: "latency", title: "Handshake and ping, p99", unit: "ms", log: true, show: ms, series: [
    { column: "handshake", label: "handshake", color: 1 },
    { column: "ping_rtt", label: "ping", color: 2 }] },
  { name: "lag", title: "Its own lateness, p99", unit: "ms", log: true, show: ms, series: [
    { column: "lag", label: "launch", color: 1 },
    { column: "loop_lag", label: "event loop", color: 2 }] },
  { name: "host", title: "CPU of its host", unit: "%", show: plain, series: [
    { column: "host_busy", label: "busy", color: 1, fill: true },
    { column: "host_steal", label: "stolen", color: 2 }] },
  { name: "retransmits", title: "TCP retransmits of its host", unit: "/s", show: count, series: [{ column: "host_retransmits", label: "retransmits", color: 4 }] },
  { ...FLEET.find((chart) => chart.name === "cores") },
  { ...FLEET.find((chart) => chart.name === "memory") },
];

/** A watched server's charts. */
export const SERVER = [
  { name: "cores", title: "CPU", unit: "cores", show: plain, series: [{ column: "cores", label: "busy", color: 1, fill: true }] },
  { name: "memory", title: "Memory", show: bytes, series: [{ column: "memory", label: "in use", color: 4, fill: true }] },
  { name: "files", title: "Open files", show: count, series: [{ column: "files", label: "open", color: 3 }] },
  { name: "sockets", title: "TCP sockets", show: count, series: [{ column: "sockets", label: "in use", color: 2 }] },
];

/** A value's text with its unit; without a value there is no unit. */
function withUnit(text, unit) {
  if (!unit || text === NONE) return text;
  if (unit.startsWith("/")) return `${text}${unit}`;
  return text === "1" && unit === "cores" ? "1 core" : `${text} ${unit}`;
}

const within = (value, low, high) => Math.min(high, Math.max(low, value));

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colorOf = (series) => (series.color === 5 ? css("--ink-2") : css(`--c${series.color}`));

/** The places of values without a neighbour, which no line shows; null where there is none. */
function isolated(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null) found.push(at);
  });
  return found.length ? found : null;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** One chart over the seconds of a run, or with `runs` in its definition over several runs. `run.invalid` maps the seconds that prove nothing to the reasons, `run.saturated` those that prove no latency, `run.marks` moments to their text; `over` is true for a finished run. */
export class Chart {
  constructor(parent, definition, run, prefix = "chart", over = false) {
    this.definition = definition;
    this.run = run;
    this.over = over;
    this.columns = null;
    this.index = null;
    this.series = [];
    this.values = [];
    this.data = [[]];
    const id = `${prefix}-${definition.id ?? definition.name}`;
    this.legend = element("span", { class: "legend" });
    this.title = element("span", { class: "title", id }, definition.title);
    this.where = element("span", { class: "key" });
    this.plot = element("div", { class: "plot", "aria-hidden": "true" });
    this.spoken = element("span", { class: "sr", "aria-live": "polite" });
    this.figure = element("figure", { class: "chart", tabindex: "0", "aria-labelledby": id, "data-chart": definition.name },
      element("figcaption", {}, this.title, this.where, this.legend), this.plot, this.spoken);
    parent.append(this.figure);
    this.figure.addEventListener("keydown", (event) => this.moveCursor(event));
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  /** Draws the columns; a chart without values is hidden. */
  show(columns) {
    this.columns = columns;
    const { series } = this.definition;
    this.setSeries(typeof series === "function" ? series(columns) : series);
    const data = [columns.seconds, ...this.series.map((one) => valuesOf(columns, one))];
    this.data = data;
    const filled = data.slice(1).some((column) => column.some((value) => value !== null && value !== undefined));
    this.figure.hidden = !filled;
    this.figure.dataset.points = String(columns.seconds.length);
    if (!filled) return;
    if (this.u) this.u.setData(data);
    else if (this.plot.clientWidth) this.makePlot(data);
    this.showValues();
  }

  /** Sets the series to draw; when they differ from the last ones, it makes a new legend and a new plot. */
  setSeries(series) {
    const same = series.length === this.series.length && series.every((one, at) => one.label === this.series[at].label);
    if (same && series.every((one, at) => String(one.of) === String(this.series[at].of))) return;
    this.series = series;
    this.values = series.map(() => element("b"));
    this.legend.replaceChildren(...series.map((one, at) => element("span", {},
      element("span", { class: `swatch k${one.color}${one.dash ? (one.dash[0] < 4 ? " dotted" : " dashed") : ""}`, "aria-hidden": "true" }),
      `${one.label} `, this.values[at])));
    this.u?.destroy();
    this.u = null;
  }

  makePlot(data) {
    const axis = { stroke: () => css("--ink-2"), grid: { stroke: () => css("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const { runs, show, unit } = this.definition;
    const tick = (value) => (value === null ? "" : withUnit(show === bytes ? bytes(value) : short(value), unit));
    const steps = new Map([[bytes, POWERS], [count, WHOLE]]);
    const time = ({ data: [seconds] }) => [seconds[0], Math.max(seconds.at(-1), seconds[0] + 1)];
    const rising = { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] };
    const logarithmic = { distr: 3, range: (_, low, high) => (low > 0 ? uPlot.rangeLog(low, high, 10, true) : [0.1, 10]) };
    this.u = new uPlot({
      width: this.plot.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { sync: { key: "run" }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: runs ? (_, low, high) => [low - 0.5, high + 0.5] : time }, y: this.definition.log ? logarithmic : rising },
      axes: [
        { ...axis, size: 28, incrs: runs ? POWERS : SECONDS, values: (_, ticks) => ticks.map(runs ? runs.tick : clock), space: 60 },
        { ...axis, size: 70, incrs: steps.get(show), values: (_, ticks) => ticks.map(tick) }],
      series: [{}, ...this.series.map((series) => ({
        stroke: () => colorOf(series), width: series.thin ? 1 : 2, dash: series.dash ?? undefined,
        fill: series.fill ? () => css("--soft") : undefined, points: { show: Boolean(runs), filter: (u, at, show) => (show ? null : isolated(u.data[at])) }, spanGaps: false }))],
      hooks: { drawClear: [(u) => this.shade(u)], draw: [(u) => this.drawMarks(u)], setCursor: [(u) => this.point(u.cursor.idx)] },
    }, data, this.plot);
  }

  /** Shades the marked seconds. */
  shade(u) {
    const seconds = this.columns.seconds;
    if (!seconds.length) return;
    u.ctx.save();
    for (const shade of ["invalid", "saturated"]) {
      u.ctx.fillStyle = css(`--${shade}`);
      for (const second of this.run[shade].keys()) {
        if (second < seconds[0] || second > seconds[seconds.length - 1]) continue;
        const [left, right] = [-0.5, 0.5].map((half) => within(u.valToPos(second + half, "x", true), u.bbox.left, u.bbox.left + u.bbox.width));
        u.ctx.fillRect(left, u.bbox.top, Math.max(1, right - left), u.bbox.height);
      }
    }
    u.ctx.restore();
  }

  /** Draws a line at each moment that is marked. */
  drawMarks(u) {
    u.ctx.save();
    u.ctx.strokeStyle = css("--bad");
    u.ctx.lineWidth = 2 * devicePixelRatio;
    u.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    for (const second of this.run.marks.keys()) {
      const x = u.valToPos(second, "x", true);
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
    }
    u.ctx.restore();
  }

  /** Why a second proves nothing, and what is marked in it. */
  remarksAt(second) {
    const marked = [...this.run.marks].filter(([at]) => Math.floor(at) === second).map(([, text]) => text);
    return [...marked, ...(this.run.invalid.get(second) ?? []), ...(this.run.saturated.get(second) ?? [])];
  }

  point(index) {
    this.index = index ?? null;
    this.showValues();
  }

  /** Shows the values at the cursor; without a cursor the newest, or of a finished run the highest. */
  showValues() {
    const seconds = this.columns.seconds;
    const at = this.index !== null && this.index < seconds.length ? this.index : seconds.length - 1;
    const pointed = this.index !== null;
    const remarks = pointed ? this.remarksAt(seconds[at]) : [];
    put(this.where, pointed ? `at ${this.place(at)}${remarks.length ? `: ${remarks.join("; ")}` : ""}` : "");
    this.series.forEach((_, place) => {
      const values = this.data[place + 1];
      put(this.values[place], pointed || !this.over ? this.text(values[at]) : `≤ ${this.text(values.reduce((most, value) => (most === null || value > most ? value : most), null))}`);
    });
  }

  /** A value as text, with its unit. */
  text(value) {
    return withUnit(this.definition.show(value), this.definition.unit);
  }

  /** The place on the horizontal axis as text: a time of the run, or one of several runs. */
  place(at) {
    const x = this.columns.seconds[at];
    return this.definition.runs ? this.definition.runs.place(x) : clock(x);
  }

  /** Moves the cursor along the seconds with the arrow keys, Home and End; Escape removes it. */
  moveCursor(event) {
    const last = this.columns ? this.columns.seconds.length - 1 : -1;
    const from = this.index ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined || !this.u || last < 0) return;
    event.preventDefault();
    if (event.key === "Escape") {
      this.u.setCursor({ left: -10, top: -10 });
      return;
    }
    const at = Math.min(last, Math.max(0, to));
    this.u.setCursor({ left: this.u.valToPos(this.columns.seconds[at], "x"), top: HEIGHT / 3 });
    const values = this.series.map((series, place) => `${series.label} ${this.text(this.data[place + 1][at])}`);
    put(this.spoken, `${this.place(at)}: ${values.join(", ")}`);
  }

  resize() {
    if (this.u && this.plot.clientWidth) this.u.setSize({ width: this.plot.clientWidth, height: HEIGHT });
    else if (this.columns) this.show(this.columns);
  }

  redraw() {
    if (this.u) this.u.redraw(false, true);
  }

  remove() {
    if (this.u) this.u.destroy();
    this.figure.remove();
  }
}

/** A group of charts over the same columns. */
export class Charts {
  constructor(parent, definitions, run, prefix, over = false) {
    this.add = (definition) => this.charts.push(new Chart(parent, definition, run, prefix, over));
    this.charts = [];
    definitions.forEach(this.add);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.charts.forEach((chart) => chart.redraw()));
  }

  show(columns) {
    this.charts.forEach((chart) => chart.show(columns));
  }

  remove() {
    this.charts.forEach((chart) => chart.remove());
  }
}

/** The charts of what sessions count, check and time; each timing gets one of its own when it comes. `section` is hidden until there is any. */
export class OwnCharts extends Charts {
  constructor(section, parent, run, prefix, over = false) {
    super(parent, OWN, run, prefix, over);
    this.section = section;
    this.timings = new Set();
  }

  show(columns) {
    for (const name of named(columns, "timed ")) {
      if (this.timings.has(name)) continue;
      this.timings.add(name);
      this.add({ ...latency(`timing ${name}`, name), id: `timing-${this.timings.size}`, name: `timing.${name}` });
    }
    this.section.hidden = OWN.every(({ series }) => !series(columns).length);
    super.show(columns);
  }
}

/** Adds a heading and the charts of a watched server. */
export function serverCharts(parent, name, run, over = false) {
  const grid = element("div", { class: "charts" });
  parent.append(element("h3", {}, name), grid);
  return new Charts(grid, SERVER, run, `server-${name}`, over);
}

/** Sets a text only where it changes, so that a screen reader does not read it again. */
export function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
const NAMES = { connect: "Connect", tcp: "TCP", tls: "TLS handshake", upgrade: "Upgrade, after TLS", handshake: "Handshake", open: "Open, from when it was due", ping_rtt: "Ping", delivery: "Delivery", lag: "Launch lag", loop_lag: "Event loop lag" };

/** Draws histograms of the whole run as bars; each is a list of `[upper bound in ms, count]`. */
export function drawBars(parent, bars, names = ["tcp", "tls", "upgrade", "handshake", "ping_rtt", "delivery"]) {
  parent.replaceChildren(...names.filter((name) => bars[name]).map((name) => histogram(NAMES[name], bars[name])));
}

function histogram(title, bars) {
  const most = Math.max(...bars.map(([, number]) => number));
  const total = bars.reduce((sum, [, number]) => sum + number, 0);
  const svg = document.createElementNS(SVG, "svg");
  const last = bars[bars.length - 1][0];
  svg.setAttribute("viewBox", "0 0 300 110");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${count(total)} values up to ${ms(last)} ms, most of them up to ${ms(bars.find(([, number]) => number === most)[0])} ms`);
  const width = 300 / bars.length;
  bars.forEach(([bound, number], at) => {
    const rect = document.createElementNS(SVG, "rect");
    const height = number ? Math.max(1.5, (100 * number) / most) : 0;
    for (const [name, value] of Object.entries({ x: at * width + 0.5, y: 108 - height, width: Math.max(0.5, width - 1), height })) rect.setAttribute(name, value);
    const label = document.createElementNS(SVG, "title");
    label.textContent = `up to ${ms(bound)} ms: ${count(number)}`;
    rect.append(label);
    svg.append(rect);
  });
  const axis = element("p", { class: "key scale", "aria-hidden": "true" });
  const step = Math.max(1, Math.ceil(bars.length / 5));
  bars.forEach(([bound], at) => {
    if ((bars.length - 1 - at) % step) return;
    const tick = element("span", {}, `${Number(bound.toPrecision(2))}`);
    tick.style.left = `${(100 * (at + 1)) / bars.length}%`;
    axis.append(tick);
  });
  return element("div", {}, element("h3", {}, `${title}, ms`), svg, axis);
}
