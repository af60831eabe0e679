import { computed, signal } from "@preact/signals";
import type all from "./en";
import core from "./en/core";
import files from "./en/files";

export type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Key = keyof typeof all;
/** All texts of one language. A plural needs the forms that its language has. */
export type Catalogue = { [K in Key]: (typeof all)[K] extends string ? string : Plural };
export type Params = Record<string, string | number>;

const others = {
  de: () => import("./de"), fr: () => import("./fr"), es: () => import("./es"), pt: () => import("./pt"),
  zh: () => import("./zh"), ja: () => import("./ja"), ar: () => import("./ar"),
};
export type Locale = "en" | keyof typeof others;
export const locales: Record<Locale, string> = {
  en: "English", de: "Deutsch", fr: "Français", es: "Español", pt: "Português", zh: "中文", ja: "日本語", ar: "العربية",
};

const stored = "files-manager.locale";
export const locale = signal<Locale>("en");
export const dir = computed(() => (locale.value === "ar" ? "rtl" : "ltr"));
/** The English texts of the parts that are loaded. */
const english = signal<Partial<Catalogue>>({ ...core, ...files });
const catalogue = signal<Partial<Catalogue>>({});

const isLocale = (name: string | null | undefined): name is Locale => name != null && Object.hasOwn(locales, name);

/** Adds the English texts of a part that is loaded later. The other languages have those of all parts in one file. */
export function addEnglish(texts: Partial<Catalogue>): void {
  english.value = { ...english.peek(), ...texts };
}

/** Loads and shows a language, and remembers it in this browser. */
export async function setLocale(name: Locale, remember = true): Promise<void> {
  catalogue.value = name === "en" ? {} : (await others[name]()).default;
  locale.value = name;
  if (remember) localStorage.setItem(stored, name);
  document.documentElement.lang = name;
  document.documentElement.dir = dir.value;
}

/** The remembered language, or the first one of the browser that there is. */
export async function startLocale(): Promise<void> {
  const wanted = [localStorage.getItem(stored), ...navigator.languages.map((tag) => tag.split("-")[0])].find(isLocale) ?? "en";
  await setLocale(wanted, false).catch(() => setLocale("en", false));
}

const rules = computed(() => new Intl.PluralRules(locale.value));
const numbers = computed(() => new Intl.NumberFormat(locale.value));

function fill(text: string, params: Params): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    if (typeof value === "number") return numbers.value.format(value);
    // A name of the other direction must not turn the sentence around it.
    return dir.value === "rtl" ? `\u2068${value}\u2069` : value;
  });
}

/** The text of a key. `count` among the parameters chooses the plural form. */
export function t(key: Key, params: Params = {}): string {
  const text: string | Plural = catalogue.value[key] ?? english.value[key] ?? key;
  if (typeof text === "string") return fill(text, params);
  return fill(text[rules.value.select(Number(params.count))] ?? text.other, params);
}
