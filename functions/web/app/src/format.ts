import { computed } from "@preact/signals";
import { locale } from "./i18n";

const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
const sizes = computed(() => units.map((unit) => new Intl.NumberFormat(locale.value, {
  style: "unit", unit, unitDisplay: unit === "byte" ? "long" : "short", maximumFractionDigits: 1,
})));
const numbers = computed(() => new Intl.NumberFormat(locale.value));
const days = computed(() => new Intl.DateTimeFormat(locale.value, { dateStyle: "medium" }));
const moments = computed(() => new Intl.DateTimeFormat(locale.value, { dateStyle: "medium", timeStyle: "short" }));
const times = computed(() => new Intl.DateTimeFormat(locale.value, { timeStyle: "short" }));
const relative = computed(() => new Intl.RelativeTimeFormat(locale.value, { numeric: "auto" }));

/** A number of bytes in the unit that suits it: 1.5 MB. */
export function formatSize(bytes: number): string {
  const step = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return sizes.value[step]!.format(bytes / 1000 ** step);
}

export const formatNumber = (value: number): string => numbers.value.format(value);

/** Today only the time, else only the day. */
export function formatDate(timestamp: string): string {
  const date = new Date(timestamp);
  return date.toDateString() === new Date().toDateString() ? times.value.format(date) : days.value.format(date);
}

export const formatMoment = (timestamp: string): string => moments.value.format(new Date(timestamp));

/** A time in words: in 3 days, 2 hours ago. */
export function formatRelative(timestamp: string): string {
  const seconds = (Date.parse(timestamp) - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86_400], ["hour", 3600], ["minute", 60]] as const) {
    if (Math.abs(seconds) >= length) return relative.value.format(Math.round(seconds / length), unit);
  }
  return relative.value.format(Math.round(seconds), "second");
}
