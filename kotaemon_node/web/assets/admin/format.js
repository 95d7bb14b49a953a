// Numbers with their units and times, as a language writes them.

const LOCALES = { en: "en", zh: "zh-CN" };
const KIB = 1024;
const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;
const SPANS = [[DAY_S, "day"], [HOUR_S, "hour"], [MINUTE_S, "minute"], [1, "second"]];
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"];
const DASH = "–";

/** @param {"en" | "zh"} language */
export function formatsOf(language, t) {
  const locale = LOCALES[language];
  const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const scores = new Intl.NumberFormat(locale, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const shares = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const costs = new Intl.NumberFormat(locale, { maximumFractionDigits: 4 });
  const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const clocks = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
  const days = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", timeZone: "UTC" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  // The short form of a byte has no plural in English.
  const unit = (name, value) =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: name === "byte" ? "long" : "short",
      maximumFractionDigits: 1 })
      .format(value);
  return {
    number: (value) => (isNumber(value) ? numbers.format(value) : DASH),
    score: (value) => (isNumber(value) ? scores.format(value) : DASH),
    cost: (value) => (isNumber(value) ? costs.format(value) : DASH),
    share: (value) => (isNumber(value) ? shares.format(value) : DASH),
    bytes: (value) => {
      const step = value < KIB ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log(value) / Math.log(KIB)));
      return unit(UNITS[step], value / KIB ** step);
    },
    /** A time that something took. */
    took: (seconds) => {
      if (!isNumber(seconds)) return DASH;
      if (seconds < 1) return unit("millisecond", Math.round(seconds * 1000));
      return seconds < 2 * MINUTE_S ? unit("second", seconds) : unit("minute", seconds / MINUTE_S);
    },
    /** How long something has been so. @param {number} seconds */
    lasting: (seconds) => {
      const [length, name] = SPANS.find(([span]) => seconds >= span) ?? SPANS.at(-1);
      return unit(name, Math.max(0, Math.floor(seconds / length)));
    },
    moment: (value) => (timeOf(value) === null ? DASH : moments.format(timeOf(value))),
    clock: (value) => clocks.format(timeOf(value)),
    day: (iso) => days.format(new Date(`${iso}T00:00:00Z`)),
    ago: (value, nowMs = Date.now()) => {
      const then = timeOf(value);
      if (then === null) return DASH;
      const seconds = Math.round((then - nowMs) / 1000);
      if (Math.abs(seconds) < 5) return t.now;
      const [length, name] = SPANS.find(([span]) => Math.abs(seconds) >= span) ?? SPANS.at(-1);
      return relative.format(Math.trunc(seconds / length), name);
    },
  };
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Milliseconds of seconds since 1970 or of an ISO 8601 text; null for neither. */
function timeOf(value) {
  if (isNumber(value)) return value > 0 ? value * 1000 : null;
  const parsed = Date.parse(value ?? "");
  return Number.isNaN(parsed) ? null : parsed;
}
