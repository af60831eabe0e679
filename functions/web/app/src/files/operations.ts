import { api, ApiError, type FileDocument } from "../api";
import { errorText, showError } from "../errors";
import { t } from "../i18n";
import { confirm, toast } from "../ui";
import { type Outcome, runAsking, runBatch, showFailures, succeeded } from "./batch";
import { listing, parentOf, remove, upsert } from "./state";

const etag = (file: FileDocument) => ({ "If-Match": `"${file.revision}"` });
const undo = (run: () => Promise<unknown>) => ({ action: { label: t("core.undo"), run: () => void run().catch(showError) } });
const documents = (outcomes: Outcome[]) => outcomes.filter(succeeded).flatMap(({ result }) => (result.file ? [result.file] : []));

/** A text that names the document if there is one only. */
function said(one: "files.moved" | "files.copied" | "files.trashed" | "files.restored" | "files.deleted", files: { name: string }[]): string {
  return t(one, { count: files.length, name: files[0]?.name ?? "" });
}

/** Moves documents to a folder; null is the root. */
export async function move(files: FileDocument[], parentId: string | null): Promise<void> {
  const moving = files.filter((file) => parentOf(file) !== parentId && file.id !== parentId);
  if (!moving.length) return;
  const outcomes = await runAsking("move", moving, { parentId });
  const done = outcomes.filter(succeeded);
  remove(done.map(({ file }) => file.id));
  documents(done).forEach(upsert);
  showFailures(outcomes);
  // What replaced another document has become a part of that one, and stays there.
  const back = done.filter(({ file, result }) => result.file?.id === file.id).map(({ file }) => file);
  if (done.length) toast(said("files.moved", done.map(({ file }) => file)), back.length ? undo(() => moveBack(back)) : {});
}

async function moveBack(files: FileDocument[]): Promise<void> {
  const folders = new Set(files.map(parentOf));
  for (const parentId of folders) {
    const group = files.filter((file) => parentOf(file) === parentId);
    const outcomes = await runBatch("move", group, { parentId });
    documents(outcomes).forEach(upsert);
    showFailures(outcomes);
  }
}

/** Copies documents to a folder. In their own folder the copies get numbers. */
export async function copy(files: FileDocument[], parentId: string | null): Promise<void> {
  const beside = files.filter((file) => parentOf(file) === parentId);
  const others = files.filter((file) => parentOf(file) !== parentId);
  const outcomes = [
    ...(await runBatch("copy", beside, { parentId, onConflict: "rename" })),
    ...(others.length ? await runAsking("copy", others, { parentId }) : []),
  ];
  const copies = documents(outcomes);
  copies.forEach(upsert);
  showFailures(outcomes);
  if (!copies.length) return;
  const list = listing.peek();
  const shown = copies.filter(({ id }) => list.index.peek().has(id));
  if (shown.length) list.select(shown.map(({ id }) => id));
  toast(said("files.copied", copies), undo(async () => {
    const gone = await runBatch("trash", copies);
    remove(gone.filter(succeeded).map(({ file }) => file.id));
  }));
}

export async function trash(files: FileDocument[]): Promise<void> {
  const outcomes = await runBatch("trash", files);
  const done = outcomes.filter(succeeded).map(({ file }) => file);
  remove(done.map(({ id }) => id));
  documents(outcomes).forEach(upsert);
  showFailures(outcomes);
  if (done.length) toast(said("files.trashed", done), undo(() => restore(done, false)));
}

/** Takes documents out of the trash. If the folder of one is gone, the user chooses another. */
export async function restore(files: FileDocument[], say = true): Promise<void> {
  const outcomes = await runBatch("restore", files);
  const orphans = outcomes.filter(({ result }) => result.error === "Parent not found").map(({ file }) => file);
  const others = outcomes.filter(({ result }) => result.error !== "Parent not found");
  if (orphans.length) {
    const { pickFolder } = await import("./picker");
    const picked = await pickFolder({ title: t("files.restoreTo"), text: t("files.restoreToText"), yes: t("files.restoreHere") });
    if (picked) others.push(...(await runBatch("restore", orphans, { parentId: picked.id })));
  }
  const done = documents(others);
  remove(done.map(({ id }) => id));
  done.forEach(upsert);
  showFailures(others);
  if (say && done.length) toast(said("files.restored", done), undo(() => trash(done)));
}

/** Deletes documents for good, after the user agrees. */
export async function destroy(files: FileDocument[]): Promise<void> {
  const names = { count: files.length, name: files[0]?.name ?? "" };
  const agreed = await confirm({ title: t("files.deleteTitle", names), text: t("files.deleteText"), yes: t("files.deleteYes"), danger: true });
  if (!agreed) return;
  const outcomes = await runBatch("delete", files);
  // Somebody else may have deleted it before.
  const done = outcomes.filter((outcome) => succeeded(outcome) || outcome.result.status === 404).map(({ file }) => file);
  remove(done.map(({ id }) => id));
  showFailures(outcomes.filter(({ result }) => result.status !== 404));
  if (done.length) toast(said("files.deleted", done));
}

export async function emptyTrash(): Promise<void> {
  if (!(await confirm({ title: t("trash.emptyTitle"), text: t("trash.emptyText"), yes: t("trash.empty"), danger: true }))) return;
  try {
    await api.delete("/trash");
    await listing.peek().load();
    toast(t("trash.emptied"));
  } catch (error) {
    showError(error, () => void emptyTrash());
  }
}

/** Shows the state that the server has, after somebody else changed a document. */
async function showNewState(file: FileDocument): Promise<void> {
  const now = await api.get("/files/{id}", { path: { id: file.id } }).catch(() => null);
  if (now) upsert(now);
  else remove([file.id]);
  toast(now ? t("files.changedMeanwhile", { name: now.name }) : t("files.goneMeanwhile", { name: file.name }), { kind: "error" });
}

async function rename(file: FileDocument, name: string, onConflict: "fail" | "rename" | "replace" | "keep"): Promise<FileDocument> {
  const renamed = await api.patch("/files/{id}", { path: { id: file.id }, body: { name, onConflict } as never, headers: etag(file) });
  if (renamed.id !== file.id) remove([file.id]);
  upsert(renamed);
  return renamed;
}

/** Gives a document a new name. Answers false if the name is not good, so that the user can repair it. */
export async function renameTo(file: FileDocument, name: string): Promise<boolean> {
  const attempt = async (onConflict: "fail" | "rename" | "replace"): Promise<boolean> => {
    try {
      const renamed = await rename(file, name, onConflict);
      const back = renamed.id === file.id ? undo(() => rename(renamed, file.name, "keep")) : {};
      toast(t("files.renamed", { name: renamed.name }), back);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 412 || error.status === 404) return showNewState(file).then(() => true);
      if (error.message !== "The name is taken" && error.message !== "A folder is not replaced") {
        toast(errorText(error), { kind: "error" });
        return false;
      }
      const { askConflict } = await import("./conflict");
      const answer = await askConflict({ ...file, name });
      return answer && answer.choice !== "skip" ? attempt(answer.choice) : false;
    }
  };
  return attempt("fail");
}

export const publicUrl = (file: FileDocument): string => `${location.origin}/files/${file.id}/data`;

/** Makes a file public and copies its address, or makes it private. */
export async function publish(file: FileDocument, isPublic: boolean): Promise<void> {
  // Before anything is awaited: browsers let a page copy only in the moment of a click.
  const copied = isPublic ? navigator.clipboard?.writeText(publicUrl(file)).then(() => true, () => false) : undefined;
  try {
    const path = isPublic ? "/files/{id}/publish" : "/files/{id}/unpublish";
    const changed = await api.put(path, { path: { id: file.id }, headers: etag(file) });
    upsert(changed);
    if (!isPublic) return void toast(t("files.unpublished", { name: file.name }), undo(() => publish(changed, true)));
    toast(t((await copied) ? "files.publishedCopied" : "files.published", { name: file.name }), undo(() => publish(changed, false)));
  } catch (error) {
    if (error instanceof ApiError && error.status === 412) await showNewState(file);
    else showError(error, () => void publish(file, isPublic));
  }
}

/** Makes a folder with a name that is not taken, and returns it. */
export async function newFolder(name: string, parentId: string | null): Promise<FileDocument> {
  const key = { "Idempotency-Key": crypto.randomUUID() };
  const folder = await api.post("/files", { body: { name, type: "folder", parentId: parentId ?? 0, onConflict: "rename" } as never, headers: key });
  upsert(folder);
  return folder;
}

/** Saves the content of a file in the folder for downloads. */
export function download(file: FileDocument): void {
  const link = document.createElement("a");
  link.href = `/files/${file.id}/data?download=1`;
  link.download = file.name;
  link.click();
}
