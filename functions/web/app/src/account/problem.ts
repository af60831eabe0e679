import { t } from "../i18n";

/** The time to wait after too many attempts, in words. */
export function waitingTime(seconds: number): string {
  if (seconds < 120) return t("account.tooMany", { count: seconds });
  return t("account.tooManyMinutes", { count: Math.ceil(seconds / 60) });
}
