// The run as columns over time, for the charts. It imports neither the page nor the network.

const MAX_SECONDS = 3600; // seconds on a chart: as many as the coordinator can send again

/** Columns of equal length by name, over the ascending seconds of the run; a value that was not measured is null. */
export class Columns {
  constructor() {
    this.seconds = [];
    this.series = new Map();
  }

  column(name) {
    if (!this.series.has(name)) this.series.set(name, new Array(this.seconds.length).fill(null));
    return this.series.get(name);
  }

  /** Puts the values of one second; it replaces those that it had. */
  put(second, values) {
    const at = this.indexFor(second);
    for (const [name, value] of values) this.column(name)[at] = value;
  }

  indexFor(second) {
    let at = this.seconds.length;
    while (at > 0 && this.seconds[at - 1] >= second) at -= 1;
    if (this.seconds[at] === second) {
      for (const column of this.series.values()) column[at] = null;
      return at;
    }
    this.seconds.splice(at, 0, second);
    for (const column of this.series.values()) column.splice(at, 0, null);
    if (this.seconds.length > MAX_SECONDS) {
      this.seconds.shift();
      for (const column of this.series.values()) column.shift();
      at -= 1;
    }
    return at;
  }
}

/** One run: the fleet's columns, those of each agent and watched server, the seconds that prove nothing or no latency, and the moments that are marked. */
export class Model {
  constructor(preamble) {
    this.preamble = preamble;
    this.fleet = new Columns();
    this.agents = new Map();
    this.watched = new Map();
    this.invalid = new Map();
    this.saturated = new Map();
    this.marks = new Map();
  }

  /** Adds a settled second. */
  take(sample) {
    const values = Object.entries(sample.fleet);
    for (const [end, number] of Object.entries(sample.ends)) values.push([`end ${end}`, number]);
    for (const [name, figures] of Object.entries(sample.latencies)) {
      this.preamble.statistics.forEach((statistic, at) => values.push([`${name} ${statistic}`, figures[at]]));
    }
    const { counters = {}, checks = {}, timings = {} } = sample.own;
    for (const [name, number] of Object.entries(counters)) values.push([`counter ${name}`, number]);
    for (const [name, [passed, failed]] of Object.entries(checks)) values.push([`check ${name}`, 100 * passed / (passed + failed)]);
    for (const [name, [number, ...figures]] of Object.entries(timings)) {
      values.push([`timed ${name}`, number]);
      this.preamble.statistics.forEach((statistic, at) => values.push([`timing ${name} ${statistic}`, figures[at]]));
    }
    this.fleet.put(sample.second, values);
    for (const [name, figures] of Object.entries(sample.agents)) {
      this.agent(name).put(sample.second, this.preamble.agent_series.map((series, at) => [series, figures[at]]));
    }
    for (const why of ["invalid", "saturated"]) {
      if (sample[why].length) this[why].set(sample.second, sample[why]);
      else this[why].delete(sample.second);
    }
    derive(this.fleet);
    for (const columns of this.agents.values()) derive(columns);
  }

  /** Adds a scrape of a watched server. */
  takeScrape(scrape) {
    if (!this.watched.has(scrape.name)) this.watched.set(scrape.name, new Columns());
    const columns = this.watched.get(scrape.name);
    columns.put(scrape.second, ["cpu_s", "memory", "files", "sockets"].map((series) => [series, scrape[series] ?? null]));
    derive(columns);
  }

  agent(name) {
    if (!this.agents.has(name)) this.agents.set(name, new Columns());
    return this.agents.get(name);
  }
}

/** Computes the busy cores from the CPU seconds used so far; only the end of the column can be new. */
function derive(columns) {
  const used = columns.column("cpu_s");
  const cores = columns.column("cores");
  const seconds = columns.seconds;
  for (let at = Math.max(1, seconds.length - 5); at < seconds.length; at += 1) {
    const known = used[at] !== null && used[at - 1] !== null;
    cores[at] = known ? Math.max(0, (used[at] - used[at - 1]) / (seconds[at] - seconds[at - 1])) : null;
  }
}

/** Makes columns of a report's series, which are complete. */
export function columnsOf(seconds, series) {
  const columns = new Columns();
  columns.seconds = seconds;
  columns.series = new Map(Object.entries(series));
  const used = columns.column("cpu_s");
  const busy = (now, at) => Math.max(0, (now - used[at - 1]) / (seconds[at] - seconds[at - 1]));
  columns.series.set("cores", used.map((now, at) => (at && now !== null && used[at - 1] !== null ? busy(now, at) : null)));
  return columns;
}
