import type { Source } from "./start";

/** What a walk finds. A folder comes before what is in it. */
export interface Found {
  folders: { key: string; parent: string | null; name: string; path: string }[];
  files: { folder: string | null; path: string; file: File }[];
  /** Names that cannot be read. */
  unreadable: { folder: string | null; path: string; name: string }[];
}

/** Files that systems leave in folders, and that nobody wants to keep. */
const LITTER = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);
/** Files in one step, and files that are opened at once: a browser waits while it opens them. */
const STEP = 100;
const OPENED = 10;

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;
const nothing = (): Found => ({ folders: [], files: [], unreadable: [] });

/** Reads everything that was dropped, and hands it over step by step. */
export async function walk(sources: Source[], give: (found: Found) => Promise<void>): Promise<void> {
  const files = sources.filter((source) => source instanceof File);
  const entries = sources.filter((source): source is FileSystemEntry => !(source instanceof File));
  await walkFiles(files, give);
  await walkEntries(entries, give);
}

/** Files of an `<input>`; those of a chosen folder have a path. */
async function walkFiles(files: File[], give: (found: Found) => Promise<void>): Promise<void> {
  const keys = new Map<string, string>();
  for (let at = 0; at < files.length; at += STEP) {
    const found = nothing();
    for (const file of files.slice(at, at + STEP)) {
      if (LITTER.has(file.name)) continue;
      const names = file.webkitRelativePath.split("/").slice(0, -1);
      let folder: string | null = null;
      for (let depth = 1; depth <= names.length; depth++) {
        const path = names.slice(0, depth).join("/");
        const key: string = keys.get(path) ?? crypto.randomUUID();
        if (!keys.has(path)) found.folders.push({ key, parent: folder, name: names[depth - 1]!, path });
        keys.set(path, key);
        folder = key;
      }
      found.files.push({ folder, path: names.join("/"), file });
    }
    await give(found);
  }
}

interface Place { folder: string | null; path: string }

async function walkEntries(entries: FileSystemEntry[], give: (found: Found) => Promise<void>): Promise<void> {
  const waiting: (Place & { directory: FileSystemDirectoryEntry })[] = [];
  const step = async (batch: FileSystemEntry[], place: Place): Promise<void> => {
    const found = nothing();
    for (const directory of batch.filter(isFolder)) {
      const key = crypto.randomUUID();
      const path = place.path ? `${place.path}/${directory.name}` : directory.name;
      found.folders.push({ key, parent: place.folder, name: directory.name, path });
      waiting.push({ directory, folder: key, path });
    }
    const rest = batch.filter((entry) => !isFolder(entry) && !LITTER.has(entry.name)) as FileSystemFileEntry[];
    for (let at = 0; at < rest.length; at += OPENED) {
      await Promise.all(rest.slice(at, at + OPENED).map(async (entry) => {
        const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
        if (file) found.files.push({ ...place, file });
        else found.unreadable.push({ ...place, name: entry.name });
      }));
    }
    await give(found);
  };
  for (let at = 0; at < entries.length; at += STEP) await step(entries.slice(at, at + STEP), { folder: null, path: "" });
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { directory, ...place } = next;
    const reader = directory.createReader();
    try {
      // One call gives a part of the entries; an empty one is the end.
      for (;;) {
        const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (batch.length === 0) break;
        await step(batch, place);
      }
    } catch {
      await give({ ...nothing(), unreadable: [{ ...place, name: directory.name }] });
    }
  }
}
