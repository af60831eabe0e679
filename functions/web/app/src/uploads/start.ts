import { signal } from "@preact/signals";

/** True while files are waiting or on their way. */
export const uploadsRunning = signal(false);
/** True while the tray has something to show. */
export const trayShown = signal(false);
/** True if the rest of the uploads could not be loaded; the drop is not lost, `retryStart` begins again. */
export const startFailed = signal(false);

/** Is set while the database of this browser has uploads. */
export const STORED = "files-manager.uploads";
export const DATABASE = "files-manager.uploads";

export type Source = FileSystemEntry | File;

let begun: (() => Promise<void>)[] = [];

function begin(task: () => Promise<void>): void {
  begun.push(task);
  retryStart();
}

/** Begins with what has not begun, because the script of the uploads did not come. */
export function retryStart(): void {
  clearTimeout(timer);
  removeEventListener("online", retryStart);
  const tasks = begun;
  begun = [];
  startFailed.value = false;
  for (const task of tasks) task().catch(() => again(task));
}

const RETRY_AFTER = 5000;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Begins again when the browser has a network, and every few seconds. */
function again(task: () => Promise<void>): void {
  begun.push(task);
  startFailed.value = true;
  trayShown.value = true;
  clearTimeout(timer);
  timer = setTimeout(retryStart, RETRY_AFTER);
  addEventListener("online", retryStart, { once: true });
}

function sources(source: DataTransfer | FileList | File[]): Source[] {
  if (!("items" in source)) return [...source];
  const items = [...source.items].filter((item) => item.kind === "file");
  return items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile()).filter((found) => found !== null);
}

/** Uploads files, and folders with all in them, into a folder; null is the root. */
export function startUpload(source: DataTransfer | FileList | File[], folder: string | null): void {
  // The items of a drop are gone after its event, so they are read before anything is awaited.
  const found = sources(source);
  if (found.length === 0) return;
  trayShown.value = true;
  begin(async () => (await import("./queue")).add(found, folder));
}

/** Goes on with the uploads that a reload has interrupted. Call this when the account is known. */
export function resumeUploads(): void {
  if (localStorage.getItem(STORED)) begin(async () => (await import("./queue")).adopt());
}

/** Removes what this browser keeps of the uploads: for the end of a session. */
export function forgetUploads(): void {
  localStorage.removeItem(STORED);
  uploadsRunning.value = false;
  indexedDB.deleteDatabase(DATABASE);
}
