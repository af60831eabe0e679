import { computed, signal } from "@preact/signals";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { startUpload } from "../uploads/start";
import { toast } from "../ui";
import { copy, move } from "./operations";

const content = signal<{ files: FileDocument[]; cut: boolean } | null>(null);

async function paste(folder: string | null): Promise<void> {
  const now = content.peek();
  if (!now) return;
  if (now.cut) content.value = null;
  await (now.cut ? move : copy)(now.files, folder);
}

function take(files: FileDocument[], cut: boolean): void {
  content.value = { files, cut };
  toast(t(cut ? "files.cutDone" : "files.copyDone", { count: files.length, name: files[0]?.name ?? "" }));
}

/** The documents that were copied or cut, until they are pasted. */
export const clipboard = {
  files: computed(() => content.value?.files ?? null),
  cut: computed(() => new Set(content.value?.cut ? content.value.files.map(({ id }) => id) : [])),
  take,
  paste,
  clear: () => { content.value = null; },
};

const editing = () => {
  const element = document.activeElement;
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement || Boolean(document.querySelector("dialog[open]"));
};

/** Serves Ctrl+C, Ctrl+X and Ctrl+V outside of text fields. Returns a function that ends that. */
export function serveClipboard(chosen: () => FileDocument[], folder: () => string | null | undefined): () => void {
  const onCopy = (event: ClipboardEvent) => {
    const files = chosen();
    if (editing() || !files.length || String(getSelection()).length) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", files.map(({ name }) => name).join("\n"));
    take(files, event.type === "cut");
  };
  const onPaste = (event: ClipboardEvent) => {
    const to = folder();
    if (editing() || to === undefined) return;
    event.preventDefault();
    if (event.clipboardData?.files.length) startUpload(event.clipboardData, to);
    else void paste(to);
  };
  document.addEventListener("copy", onCopy);
  document.addEventListener("cut", onCopy);
  document.addEventListener("paste", onPaste);
  return () => {
    document.removeEventListener("copy", onCopy);
    document.removeEventListener("cut", onCopy);
    document.removeEventListener("paste", onPaste);
  };
}
