// The run as columns over time: what charts draw. It knows neither the page nor the network.

const KEPT = 3600; // seconds on a chart, as many as the coordinator can hand out again

/** Columns of equal length by name, over the ascending seconds of the run; what was not measured is null. */
export class Columns {
  constructor() {
    this.seconds = [];
    this.series = new Map();
  }

  column(name) {
    if (!this.series.has(name)) this.series.set(name, new Array(this.seconds.length).fill(null));
    return this.series.get(name);
  }

  /** Puts the values of one second; a second that is there already is replaced. */
  put(second, values) {
    const at = this.place(second);
    for (const [name, value] of values) this.column(name)[at] = value;
  }

  place(second) {
    let at = this.seconds.length;
    while (at > 0 && this.seconds[at - 1] >= second) at -= 1;
    if (this.seconds[at] === second) {
      for (const column of this.series.values()) column[at] = null;
      return at;
    }
    this.seconds.splice(at, 0, second);
    for (const column of this.series.values()) column.splice(at, 0, null);
    if (this.seconds.length > KEPT) {
      this.seconds.shift();
      for (const column of this.series.values()) column.shift();
      at -= 1;
    }
    return at;
  }
}

/** What is drawn of one run: the fleet's columns, each agent's, and the seconds that prove nothing. */
export class Model {
  constructor(head) {
    this.head = head;
    this.fleet = new Columns();
    this.agents = new Map();
    this.watched = new Map();
    this.invalid = new Map();
  }

  /** Takes one settled second. */
  take(sample) {
    const values = Object.entries(sample.fleet);
    for (const [end, number] of Object.entries(sample.ends)) values.push([`end ${end}`, number]);
    for (const [name, figures] of Object.entries(sample.latencies)) {
      this.head.statistics.forEach((statistic, at) => values.push([`${name} ${statistic}`, figures[at]]));
    }
    this.fleet.put(sample.second, values);
    for (const [name, figures] of Object.entries(sample.agents)) {
      this.agent(name).put(sample.second, this.head.agent_series.map((series, at) => [series, figures[at]]));
    }
    if (sample.invalid.length) this.invalid.set(sample.second, sample.invalid);
    else this.invalid.delete(sample.second);
    derive(this.fleet);
    for (const columns of this.agents.values()) derive(columns);
  }

  /** Takes a scrape of a watched server. */
  watch(reading) {
    if (!this.watched.has(reading.name)) this.watched.set(reading.name, new Columns());
    const columns = this.watched.get(reading.name);
    columns.put(reading.second, ["cpu_s", "memory", "files", "sockets"].map((series) => [series, reading[series] ?? null]));
    derive(columns);
  }

  agent(name) {
    if (!this.agents.has(name)) this.agents.set(name, new Columns());
    return this.agents.get(name);
  }
}

/** CPU seconds used so far become cores kept busy; only the end of the column can be new. */
function derive(columns) {
  const used = columns.column("cpu_s");
  const cores = columns.column("cores");
  const seconds = columns.seconds;
  for (let at = Math.max(1, seconds.length - 5); at < seconds.length; at += 1) {
    const known = used[at] !== null && used[at - 1] !== null;
    cores[at] = known ? Math.max(0, (used[at] - used[at - 1]) / (seconds[at] - seconds[at - 1])) : null;
  }
}

/** Columns that a report carries whole. */
export function columnsOf(seconds, series) {
  const columns = new Columns();
  columns.seconds = seconds;
  columns.series = new Map(Object.entries(series));
  const used = columns.column("cpu_s");
  const busy = (now, at) => Math.max(0, (now - used[at - 1]) / (seconds[at] - seconds[at - 1]));
  columns.series.set("cores", used.map((now, at) => (at && now !== null && used[at - 1] !== null ? busy(now, at) : null)));
  return columns;
}
