import { computed, signal } from "@preact/signals";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { startUpload } from "../uploads/start";
import { copy, move, trash } from "./operations";

/** A place to drop on: a folder, the root (null), or the trash. */
export type Place = { folder: string | null } | "trash";
const keyOf = (place: Place) => (place === "trash" ? "trash" : `folder/${place.folder}`);

/** The documents that are dragged inside the app. */
export const dragged = signal<FileDocument[] | null>(null);
/** The place that the pointer is over. */
const over = signal<string | null>(null);
/** True while files of the computer are dragged over the page. */
export const filesOver = signal(false);

const hasFiles = (event: DragEvent) => !dragged.peek() && Boolean(event.dataTransfer?.types.includes("Files"));

function accepts(event: DragEvent, place: Place): boolean {
  const files = dragged.peek();
  if (!files) return place !== "trash" && hasFiles(event);
  return place === "trash" || !files.some(({ id }) => id === place.folder);
}

/** The folder that the pointer is over while something is dragged: null for the root, undefined for none. */
export const overFolder = computed(() => {
  const key = over.value;
  return !key || key === "trash" ? undefined : key === "folder/null" ? null : key.slice("folder/".length);
});

export const isOver = (place: Place): boolean => over.value === keyOf(place);

/** Begins to drag documents. A label with their number moves with the pointer. */
export function startDrag(event: DragEvent, files: FileDocument[]): void {
  const label = document.createElement("div");
  label.className = "drag-label";
  label.textContent = files.length === 1 ? files[0]!.name : t("files.selected", { count: files.length });
  document.body.append(label);
  event.dataTransfer!.setDragImage(label, -12, -8);
  event.dataTransfer!.effectAllowed = "copyMove";
  event.dataTransfer!.setData("text/plain", files.map(({ name }) => name).join("\n"));
  setTimeout(() => { label.remove(); dragged.value = files; });
}

export function endDrag(): void {
  dragged.value = null;
  over.value = null;
  filesOver.value = false;
}

/** Is called for each event of dragging over a place. */
export function dragOver(event: DragEvent, place: Place): void {
  if (!accepts(event, place)) return;
  event.preventDefault();
  event.stopPropagation();
  event.dataTransfer!.dropEffect = hasFiles(event) || event.ctrlKey || event.altKey ? "copy" : "move";
  over.value = keyOf(place);
}

export function drop(event: DragEvent, place: Place): void {
  if (!accepts(event, place)) return;
  event.preventDefault();
  event.stopPropagation();
  const files = dragged.peek();
  const external = event.dataTransfer!;
  endDrag();
  if (place === "trash") void (files && trash(files));
  else if (!files) startUpload(external, place.folder);
  else void (event.ctrlKey || event.altKey ? copy : move)(files, place.folder);
}

/** The handlers that make an element a place to drop on. */
export function dropTarget(place: Place) {
  return {
    "data-over": isOver(place) || undefined,
    onDragEnter: (event: DragEvent) => dragOver(event, place),
    onDragOver: (event: DragEvent) => dragOver(event, place),
    onDragLeave: () => { if (isOver(place)) over.value = null; },
    onDrop: (event: DragEvent) => drop(event, place),
  };
}

/** Watches for files of the computer over the page, and keeps the browser from opening what is dropped elsewhere. */
export function serveDrag(): () => void {
  let depth = 0;
  const count = (change: number) => (event: DragEvent) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth + change);
    filesOver.value = depth > 0;
  };
  const enter = count(1);
  const leave = count(-1);
  // What comes up to the window is over no place.
  const refuse = (event: DragEvent) => {
    over.value = null;
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.type === "drop") { depth = 0; endDrag(); }
    else event.dataTransfer!.dropEffect = "none";
  };
  const reset = () => { depth = 0; };
  const handlers: [string, (event: DragEvent) => void, boolean][] = [
    ["dragenter", enter, true], ["dragleave", leave, true], ["drop", reset, true],
    ["dragover", refuse, false], ["drop", refuse, false], ["dragend", endDrag, false],
  ];
  for (const [name, handler, capture] of handlers) addEventListener(name, handler as EventListener, capture);
  return () => {
    for (const [name, handler, capture] of handlers) removeEventListener(name, handler as EventListener, capture);
  };
}
