// Numbers as text for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const NONE = "–"; // the text of a value that is missing

/** A whole number with thousands separators. */
export function count(value) {
  return value === null || value === undefined || Number.isNaN(value) ? NONE : whole.format(value);
}

/** About three digits with a suffix, for an axis: 1.5k, 2M. */
export function short(value) {
  const size = Math.abs(value);
  const [divisor, suffix] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return `${Number((value / divisor).toPrecision(3))}${suffix}`;
}

/** Bytes with a binary unit. */
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${Number((value / 1024 ** power).toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** Milliseconds with about three digits. */
export function ms(value) {
  if (value === null || value === undefined) return NONE;
  return value < 1 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : whole.format(value);
}

/** A duration in seconds as a clock shows it: 0:07, 12:30, 1:02:03. */
export function clock(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A number with at most two decimals. */
export function plain(value) {
  return value === null || value === undefined ? NONE : `${Number(value.toFixed(value < 10 ? 2 : 0))}`;
}
