import type { Drop, Folder, Stored } from "./model";
import { DATABASE, STORED } from "./start";

/** The stores of the database. `files` has the bytes of an entry, under the entry's key. */
interface Stores {
  drops: Drop;
  folders: Folder;
  entries: Stored;
  files: File;
}
type Name = keyof Stores;
const NAMES: Name[] = ["drops", "folders", "entries", "files"];

/** Names the locks of drops. */
export const LOCK = "files-manager.upload.";
/** Changes in one transaction, and files among them: a browser waits while it takes a file over. */
const CHANGES = 500;
const FILES = 10;
/** A share of the space that the browser still grants. */
const SHARE = 0.25;

const asked = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

let opening: Promise<IDBDatabase | null> | null = null;

/** Null if the browser grants no database: then a reload ends the uploads. */
function database(): Promise<IDBDatabase | null> {
  opening ??= new Promise((resolve) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => { for (const name of NAMES) request.result.createObjectStore(name); };
    request.onsuccess = () => {
      request.result.onversionchange = () => { request.result.close(); opening = Promise.resolve(null); };
      resolve(request.result);
    };
    request.onerror = () => resolve(null);
  });
  return opening;
}

type Change = { store: Name; key: string; value: unknown };
let changes = new Map<string, Change>();
let writing: Promise<void> = Promise.resolve();
let timer = 0;

/** Writes soon; `flush` waits for it. */
export function put<N extends Name>(store: N, key: string, value: Stores[N] | undefined): void {
  changes.set(`${store} ${key}`, { store, key, value });
  timer ||= setTimeout(() => void flush(), 250);
}

export const remove = (store: Name, key: string): void => put(store, key, undefined);

/** Resolves when everything is stored that was put before. */
export function flush(): Promise<void> {
  clearTimeout(timer);
  timer = 0;
  const batch = [...changes.values()];
  changes = new Map();
  if (batch.length > 0) writing = writing.then(() => write(batch));
  return writing;
}

function* slices(batch: Change[]): Generator<Change[]> {
  let slice: Change[] = [];
  let files = 0;
  for (const change of batch) {
    slice.push(change);
    if (change.store === "files" && change.value) files++;
    if (files < FILES && slice.length < CHANGES) continue;
    yield slice;
    slice = [];
    files = 0;
  }
  if (slice.length > 0) yield slice;
}

async function write(batch: Change[]): Promise<void> {
  const db = await database();
  if (!db) return;
  for (const slice of slices(batch)) {
    // Without room for the bytes, the rest is still stored, and a reload asks for the file.
    await commit(db, slice).catch(() => commit(db, slice.filter((change) => change.store !== "files"))).catch(() => {});
  }
}

function commit(db: IDBDatabase, slice: Change[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(NAMES, "readwrite");
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    try {
      for (const { store, key, value } of slice) {
        if (value === undefined) transaction.objectStore(store).delete(key);
        else transaction.objectStore(store).put(value, key);
      }
    } catch (error) {
      transaction.abort();
      reject(error);
    }
  });
}

export async function all<N extends Name>(name: N): Promise<Stores[N][]> {
  const db = await database().catch(() => null);
  return db ? asked(db.transaction(name).objectStore(name).getAll() as IDBRequest<Stores[N][]>) : [];
}

export async function fileOf(key: string): Promise<File | undefined> {
  const db = await database();
  return db ? asked(db.transaction("files").objectStore("files").get(key) as IDBRequest<File | undefined>) : undefined;
}

let room: Promise<{ left: number }> | null = null;

/** True if the database may have so many bytes more. */
export async function reserve(bytes: number): Promise<boolean> {
  room ??= (async () => {
    const { quota = 0, usage = 0 } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
    return { left: SHARE * (quota - usage) };
  })();
  const granted = await room;
  if (bytes > granted.left) return false;
  granted.left -= bytes;
  return true;
}

export async function release(bytes: number): Promise<void> {
  if (room) (await room).left += bytes;
}

/** Remembers whether there is anything to go on with after a reload. */
export function mark(hasUploads: boolean): void {
  if (hasUploads) localStorage.setItem(STORED, "1");
  else localStorage.removeItem(STORED);
}
