import { ApiError } from "./api";
import { type Key, t } from "./i18n";
import { toast } from "./ui";

/** The errors of the API that a user may see, and what they say in the user's language. */
const known: Record<string, Key> = {
  "The name is taken": "error.nameTaken",
  "A folder is not replaced": "error.folderNotReplaced",
  "A folder cannot be moved into itself": "error.moveIntoItself",
  "A folder cannot be copied into itself": "error.copyIntoItself",
  "Another move is in progress: try again": "error.otherMove",
  "The folder has more than 100000 folders: move its parts": "error.moveTooLarge",
  "The folder has more than 20000 items: copy its parts": "error.copyTooLarge",
  "Parent not found": "error.parentNotFound",
  "Parent is not a folder": "error.parentNotFound",
  "Too deep: 100 levels at most": "error.tooDeep",
  "Invalid name": "error.invalidName",
  "The file was changed meanwhile": "error.changed",
  "Not found": "error.notFound",
};
const byStatus: Record<number, Key> = {
  0: "error.offline", 401: "error.signedOut", 404: "error.notFound", 412: "error.changed", 413: "error.tooLarge", 429: "error.tooMany", 503: "error.unavailable", 507: "error.quota",
};

/** What an outcome of the API means, for the user. */
export function describe(status: number, message = ""): string {
  const key = known[message] ?? byStatus[status];
  if (key) return t(key);
  return status >= 400 && status < 500 && message ? message : t("error.unknown");
}

export const errorText = (error: unknown): string => (error instanceof ApiError ? describe(error.status, error.message) : t("error.unknown"));

/** Shows an error as a message, with a button that tries again. */
export function showError(error: unknown, again?: () => void): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  toast(errorText(error), { kind: "error", ...(again && { action: { label: t("core.retry"), run: again } }) });
}
