import { api, ApiError, type BatchResult, type FileDocument } from "../api";
import { describe } from "../errors";
import { t } from "../i18n";
import { openDialog, toast } from "../ui";

export type Action = "move" | "copy" | "trash" | "restore" | "delete";
export type Conflict = "keep" | "fail" | "rename" | "replace";
export interface Target { parentId?: string | null; onConflict?: Conflict }
export interface Outcome { file: FileDocument; result: BatchResult }

const most = 100;

async function send(action: Action, ids: string[], { parentId, onConflict }: Target): Promise<BatchResult[]> {
  const parent = parentId === undefined ? {} : { parentId: parentId ?? 0 };
  try {
    return await api.post("/files/batch", { body: { action, ids, ...parent, ...(onConflict && { onConflict }) } as never });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return ids.map((id) => ({ id, status: error.status, error: error.message }));
  }
}

/** Does one action with many documents, as many at once as the API takes. Each has its own outcome. */
export async function runBatch(action: Action, files: FileDocument[], target: Target = {}): Promise<Outcome[]> {
  const byId = new Map(files.map((file) => [file.id, file]));
  const outcomes: Outcome[] = [];
  let left = files.map(({ id }) => id);
  let pause = 0;
  const hide = files.length > most ? toast(t("files.working", { count: files.length }), { duration: 600_000 }) : undefined;
  while (left.length) {
    const results = await send(action, left.slice(0, most), target);
    // The API had no time for these: they come again, after a pause if there was time for none.
    const late = results.filter(({ status }) => status === 503).map(({ id }) => String(id));
    if (late.length === results.length && ++pause > 4) late.length = 0;
    const again = new Set(late);
    for (const result of results) if (!again.has(String(result.id))) outcomes.push({ file: byId.get(String(result.id))!, result });
    left = [...late, ...left.slice(most)];
    if (late.length === results.length && late.length) await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** pause));
  }
  hide?.();
  return outcomes;
}

export const succeeded = ({ result }: Outcome): boolean => result.status < 300;
export const isConflict = ({ result }: Outcome): boolean =>
  result.status === 409 && (result.error === "The name is taken" || result.error === "A folder is not replaced");

/** Asks what to do with each name that is taken, and does it. */
async function resolve(action: Action, conflicts: Outcome[], target: Target): Promise<Outcome[]> {
  if (!conflicts.length) return [];
  const { askConflicts } = await import("./conflict");
  const choices = await askConflicts(conflicts.map(({ file }) => file));
  const chosen = (choice: "rename" | "replace") => conflicts.filter(({ file }) => choices.get(file.id) === choice).map(({ file }) => file);
  return [
    ...(await runBatch(action, chosen("rename"), { ...target, onConflict: "rename" })),
    ...(await runBatch(action, chosen("replace"), { ...target, onConflict: "replace" })),
  ];
}

/** As `runBatch`, but asks when a name is taken. What the user skips has no outcome. */
export async function runAsking(action: Action, files: FileDocument[], target: Target): Promise<Outcome[]> {
  const outcomes = await runBatch(action, files, { ...target, onConflict: "fail" });
  return [...outcomes.filter((outcome) => !isConflict(outcome)), ...(await resolve(action, outcomes.filter(isConflict), target))];
}

/** Says which documents failed and why: in a message for one, in a list for more. */
export function showFailures(outcomes: Outcome[]): void {
  const failed = outcomes.filter((outcome) => !succeeded(outcome));
  if (!failed.length) return;
  const reason = ({ result }: Outcome) => describe(result.status, result.error);
  if (failed.length === 1) return void toast(t("files.failedOne", { name: failed[0]!.file.name, reason: reason(failed[0]!) }), { kind: "error" });
  const show = async () => {
    const { Failures } = await import("./failures");
    await openDialog((close) => <Failures rows={failed.map((outcome) => ({ name: outcome.file.name, reason: reason(outcome) }))} onClose={() => close()} />);
  };
  toast(t("files.failedMany", { count: failed.length }), { kind: "error", action: { label: t("core.show"), run: () => void show() } });
}

