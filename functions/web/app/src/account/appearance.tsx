import { locale, type Locale, locales, setLocale, t } from "../i18n";
import { setTheme, theme, type Theme } from "../theme";
import { toast } from "../ui";
import { Field } from "./form";

const themes: [Theme, () => string][] = [
  ["system", () => t("theme.system")], ["light", () => t("theme.light")], ["dark", () => t("theme.dark")],
];

/** Chooses the language. Its names are in their own languages. */
export function LanguageField() {
  const choose = (name: string) => void setLocale(name as Locale).catch(() => toast(t("error.offline"), { kind: "error" }));
  return (
    <Field label={t("nav.language")}>
      {(own) => (
        <select {...own} value={locale.value} onChange={(event) => choose(event.currentTarget.value)}>
          {Object.entries(locales).map(([name, label]) => <option key={name} value={name} lang={name}>{label}</option>)}
        </select>
      )}
    </Field>
  );
}

/** Chooses light or dark. */
export function ThemeField() {
  return (
    <fieldset class="field">
      <legend>{t("account.theme")}</legend>
      <div class="segments">
        {themes.map(([name, label]) => (
          <label key={name}>
            <input type="radio" name="theme" checked={theme.value === name} onChange={() => setTheme(name)} />
            <span>{label()}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
