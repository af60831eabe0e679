import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const stored = "files-manager.theme";
const valid = (value: string | null): Theme => (value === "light" || value === "dark" ? value : "system");

/** The colours: those of the system, or the user's choice, which this browser remembers. */
export const theme = signal<Theme>("system");

export function setTheme(value: Theme): void {
  theme.value = value;
  if (value === "system") {
    localStorage.removeItem(stored);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(stored, value);
    document.documentElement.dataset.theme = value;
  }
}

export const startTheme = (): void => setTheme(valid(localStorage.getItem(stored)));
