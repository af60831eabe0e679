import { api, ApiError, type FileDocument, nextCursor } from "../api";
import { gate, hold, isOutage, succeeded } from "./gate";
import type { Drop, Folder } from "./model";
import { put } from "./store";

/** Requests for folders at the same time. */
const AT_ONCE = 4;
let running = 0;
const waiting: (() => void)[] = [];

async function limited<T>(task: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await task();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

const folders = new Map<string, Folder>();
const drops = new Map<string, Drop>();
const ids = new Map<string, Promise<string>>();
/** The folders that were there before, by the id of their parent and their compared name. */
const listings = new Map<string, Promise<Map<string, string>>>();

let created: (document: FileDocument) => void = () => {};
export function onCreated(listener: (document: FileDocument) => void): void { created = listener; }

export function register(drop: Drop, known: Folder[]): void {
  drops.set(drop.id, drop);
  // Folders may have gone since the last drop.
  listings.clear();
  for (const folder of known) folders.set(folder.key, folder);
}

/** Creates no more folders of a drop. */
export function abandon(drop: string): void {
  drops.delete(drop);
}

/** Forgets the folders of a drop that has ended. */
export function forget(drop: string): string[] {
  const keys = [...folders.values()].filter((folder) => folder.drop === drop).map((folder) => folder.key);
  for (const key of keys) { folders.delete(key); ids.delete(key); }
  drops.delete(drop);
  return keys;
}

/** The id of a folder, which is created if it is not there. After a failure the next call tries again. */
export function idOf(key: string | null, drop: string): Promise<string> {
  const folder = key === null ? null : folders.get(key);
  if (folder === null && drops.has(drop)) return Promise.resolve(drops.get(drop)!.folder);
  if (!folder) return Promise.reject(new Error("canceled"));
  if (folder.id) return Promise.resolve(folder.id);
  let id = ids.get(folder.key);
  if (!id) {
    id = make(folder);
    ids.set(folder.key, id);
    id.catch(() => ids.delete(folder.key));
  }
  return id;
}

async function make(folder: Folder): Promise<string> {
  const parentId = await idOf(folder.parent, folder.drop);
  folder.id = await limited(() => create(folder, parentId));
  put("folders", folder.key, folder);
  return folder.id;
}

async function create(folder: Folder, parentId: string): Promise<string> {
  for (;;) {
    await gate();
    if (!drops.has(folder.drop)) throw new Error("canceled");
    try {
      const id = (await post(folder, parentId, "fail")) ?? (await find(folder.name, parentId)) ?? (await post(folder, parentId, "rename"))!;
      succeeded();
      return id;
    } catch (error) {
      if (!isOutage(error)) throw error;
      hold(error.retryAfter);
    }
  }
}

/** Undefined if the name is taken. */
async function post({ key, name }: Folder, parentId: string, onConflict: "fail" | "rename"): Promise<string | undefined> {
  try {
    const headers = { "Idempotency-Key": `${key}.${onConflict}` };
    const document = await api.post("/files", { body: { name, type: "folder", parentId, onConflict, isPublic: false }, headers });
    created(document);
    return document.id;
  } catch (error) {
    if (error instanceof ApiError && error.status === 409 && error.message === "The name is taken") return undefined;
    throw error;
  }
}

/** As the API compares names: NFC, without case. */
const compared = (name: string) => name.normalize("NFC").toLowerCase().toUpperCase().toLowerCase().normalize("NFC");

async function find(name: string, parentId: string): Promise<string | undefined> {
  const known = (await listing(parentId)).get(compared(name));
  if (known) return known;
  // Somebody has created it since.
  listings.delete(parentId);
  return (await listing(parentId)).get(compared(name));
}

function listing(parentId: string): Promise<Map<string, string>> {
  let list = listings.get(parentId);
  if (!list) {
    list = readFolders(parentId);
    listings.set(parentId, list);
    list.catch(() => listings.delete(parentId));
  }
  return list;
}

async function readFolders(parentId: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let cursor: string | null = null;
  do {
    const query: { parentId: string; type: string; limit: number; cursor?: string } = { parentId, type: "folder", limit: 1000 };
    if (cursor) query.cursor = cursor;
    const { data, headers } = await api.request("get", "/files", { query });
    for (const { id, name } of data) if (!found.has(compared(name))) found.set(compared(name), id);
    cursor = nextCursor(headers);
  } while (cursor);
  return found;
}

/** Resolves when each folder of a drop was created, or could not be. */
export async function allMade(drop: string): Promise<void> {
  const keys = [...folders.values()].filter((folder) => folder.drop === drop).map((folder) => folder.key);
  await Promise.allSettled(keys.map((key) => idOf(key, drop)));
}
