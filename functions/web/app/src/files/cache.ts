import type { FileDocument } from "../api";

/** The beginnings of the folders that were shown last. The next visit shows them before the API has answered. */
interface Kept { items: FileDocument[]; more: boolean }

const prefix = "files-manager.list/";
const order = "files-manager.lists";
const mostFolders = 21;
const mostItems = 200;

function keys(): string[] {
  try {
    return JSON.parse(localStorage.getItem(order) ?? "[]") as string[];
  } catch {
    return [];
  }
}

export function keep(key: string, items: FileDocument[], more: boolean): void {
  const [recent, old] = [[key, ...keys().filter((one) => one !== key)], [] as string[]];
  old.push(...recent.splice(mostFolders));
  try {
    for (const one of old) localStorage.removeItem(prefix + one);
    localStorage.setItem(prefix + key, JSON.stringify({ items: items.slice(0, mostItems), more: more || items.length > mostItems } satisfies Kept));
    localStorage.setItem(order, JSON.stringify(recent));
  } catch {
    // The storage is full: the next visit waits for the API.
    forgetAll();
  }
}

export function recall(key: string): Kept | null {
  try {
    return JSON.parse(localStorage.getItem(prefix + key) ?? "null") as Kept | null;
  } catch {
    return null;
  }
}

/** Forgets all folders, at the end of a session. */
export function forgetAll(): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith(prefix)) localStorage.removeItem(key);
  localStorage.removeItem(order);
}
