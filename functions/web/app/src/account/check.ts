import { t } from "../i18n";

/** The longest password and e-mail that the API takes, in bytes of UTF-8. */
const longestPassword = 1024;
const longestEmail = 320;

const bytes = (text: string): number => new TextEncoder().encode(text).length;

/** What is wrong with a new password, or null. */
export function passwordProblem(password: string): string | null {
  if (password === "") return t("account.passwordMissing");
  return bytes(password) > longestPassword ? t("account.passwordLong") : null;
}

/** What is wrong with an e-mail, or null. A new account needs an address that mail can reach. */
export function emailProblem(email: string, isNew: boolean): string | null {
  if (email === "") return t("account.emailMissing");
  const refused = /[:\u0000-\u001f\u007f-\u009f]/.test(email) || bytes(email) > longestEmail;
  return refused || (isNew && !/^\S+@\S+$/.test(email)) ? t("account.emailInvalid") : null;
}

/** What is wrong with the name of an API key, or null. */
export function keyNameProblem(name: string): string | null {
  if (name === "") return t("account.keyNameMissing");
  return /[\u0000-\u001f\u007f-\u009f]/.test(name) || bytes(name) > 255 ? t("account.keyNameInvalid") : null;
}
