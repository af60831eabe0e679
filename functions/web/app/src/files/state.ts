import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { api, ApiError, type FileDocument, nextCursor, type PathStep } from "../api";
import { locale, t } from "../i18n";
import { type Route, route } from "../router";
import { keep, recall } from "./cache";
import { type Order, type Sort, viewOf } from "./views";
import { Listing } from "./listing";

/** The folder that is shown; null for the root, while no folder is shown, and until the folder is known. */
export const currentFolder = signal<FileDocument | null>(null);
/** The way to the folder, from below the root to the folder itself. */
export const crumbs = signal<PathStep[]>([]);
/** The name of the folder that is shown; a sign for it until it is known. */
export const folderName = computed(() => {
  const to = route.value;
  if (to.screen !== "files" || !to.folder) return t("files.all");
  return currentFolder.value?.name ?? crumbs.value.at(-1)?.name ?? "…";
});
/** True if the folder of the address does not exist. */
export const missing = signal(false);
export const listing = signal<Listing>(new Listing("none", async () => ({ items: [], cursor: null }), null, () => false));
/** The document whose name is being edited in its row. */
export const renaming = signal<string | null>(null);

const pageSize = 1000;
const kept = new Map<string, Listing>();

export const parentOf = (file: FileDocument): string | null => (file.parentId && file.parentId !== "0" ? String(file.parentId) : null);
export const changedAt = (file: FileDocument): string => file.updatedAt ?? file.createdAt;

/** The order that the API has: folders first, numbers in names by their value, and the id in the end. */
export function comparator(sort: Sort, order: Order): (a: FileDocument, b: FileDocument) => number {
  const names = new Intl.Collator(locale.peek(), { numeric: true, sensitivity: "base" });
  const by = {
    name: (a: FileDocument, b: FileDocument) => names.compare(a.name, b.name),
    size: (a: FileDocument, b: FileDocument) => (a.size ?? 0) - (b.size ?? 0),
    date: (a: FileDocument, b: FileDocument) => Date.parse(changedAt(a)) - Date.parse(changedAt(b)),
  }[sort];
  const sign = order === "asc" ? 1 : -1;
  return (a, b) =>
    Number(b.type === "folder") - Number(a.type === "folder") || sign * (by(a, b) || (a.id < b.id ? -1 : Number(a.id > b.id)));
}

function folderListing(folder: string | null): Listing {
  const { sort, order } = viewOf(folder);
  const key = `files/${folder}/${sort}/${order}`;
  const read = async (cursor: string | null, signal: AbortSignal) => {
    const query = { parentId: folder ?? "0", sort, order, limit: pageSize, ...(cursor && { cursor }) };
    const { data, headers } = await api.request("get", "/files", { query, signal });
    const next = nextCursor(headers);
    if (!cursor) keep(key, data, next !== null);
    return { items: data, cursor: next };
  };
  return new Listing(key, read, comparator(sort, order), (file) => parentOf(file) === folder && !file.trashedAt);
}

function searchListing(query: string): Listing {
  const read = async (_: string | null, signal: AbortSignal) =>
    ({ items: query.trim() ? await api.get("/search", { query: { q: query.trim(), limit: 100 }, signal }) : [], cursor: null });
  const ids = (file: FileDocument) => !file.trashedAt && list.index.peek().has(file.id);
  const list: Listing = new Listing(`search/${query}`, read, null, ids);
  return list;
}

function trashListing(): Listing {
  const read = async (cursor: string | null, signal: AbortSignal) => {
    const { data, headers } = await api.request("get", "/trash", { query: { limit: pageSize, ...(cursor && { cursor }) }, signal });
    return { items: data, cursor: nextCursor(headers) };
  };
  return new Listing("trash", read, null, (file) => Boolean(file.trashedAt));
}

/** Shows a list: the kept one at once if there is one, which is then read again unless it is long. */
function show(next: Listing): void {
  const before = listing.peek();
  if (before.phase.peek() !== "ready") before.end();
  const known = kept.get(next.key);
  const shown = known?.phase.peek() === "ready" ? known : next;
  kept.delete(next.key);
  kept.set(next.key, shown);
  if (shown.phase.peek() === "loading") {
    const last = recall(shown.key);
    if (last) shown.restore(last.items, last.more);
  }
  if (kept.size > 8) kept.delete(kept.keys().next().value!);
  batch(() => {
    renaming.value = null;
    shown.clear();
    // On the way up, the folder that was left has the cursor.
    shown.cursor.value ??= before.key.split("/")[1] ?? null;
    listing.value = shown;
  });
  if (shown === next || shown.items.peek().length <= pageSize) void shown.load();
}

/** The id of the folder that is shown; null for the root, and while no folder is shown. */
export function shownFolder(): string | null {
  const to = route.peek();
  return to.screen === "files" ? to.folder : null;
}

/** The folders that were shown, to name them at once the next time. */
const folders = new Map<string, FileDocument>();

async function locate(folder: string): Promise<void> {
  const at = crumbs.peek().findIndex(({ id }) => id === folder);
  const known = listing.peek().get(folder) ?? folders.get(folder);
  const above = currentFolder.peek()?.id ?? null;
  missing.value = false;
  if (at >= 0) crumbs.value = crumbs.peek().slice(0, at + 1);
  else if (known && parentOf(known) === above) crumbs.value = [...crumbs.peek(), known];
  else crumbs.value = [];
  currentFolder.value = known ?? null;
  try {
    const [file, path] = await Promise.all([
      api.get("/files/{id}", { path: { id: folder } }),
      api.get("/files/{id}/path", { path: { id: folder } }),
    ]);
    const now = route.peek();
    if (now.screen !== "files" || now.folder !== folder) return;
    batch(() => {
      currentFolder.value = file;
      folders.set(folder, file);
      crumbs.value = path;
      missing.value = file.type !== "folder" || Boolean(file.trashedAt);
    });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) missing.value = true;
  }
}

/** Shows what the address says. Returns a function that ends that. */
export function startFiles(): () => void {
  const stop = effect(() => {
    const to = route.value;
    untracked(() => follow(to));
  });
  addEventListener("focus", refreshOld);
  return () => { stop(); removeEventListener("focus", refreshOld); };
}

function follow(to: Route): void {
  if (to.screen === "files") {
    if (to.folder) void batch(() => locate(to.folder!));
    else batch(() => { currentFolder.value = null; crumbs.value = []; missing.value = false; });
    show(folderListing(to.folder));
    return;
  }
  batch(() => { currentFolder.value = null; crumbs.value = []; });
  if (to.screen === "search") show(searchListing(to.query));
  else if (to.screen === "trash") show(trashListing());
}

/** Reads the list again when the user comes back to the page. */
function refreshOld(): void {
  const { readAt, items } = listing.peek();
  if (Date.now() - readAt > 30_000 && items.peek().length <= pageSize && !renaming.peek()) void listing.peek().load();
}

/** Shows the folder with its remembered order, after that was changed. */
export function resort(): void {
  const to = route.peek();
  if (to.screen === "files") show(folderListing(to.folder));
}

/** Reads the folder again, if it is shown. null is the root. */
export async function refreshFolder(id: string | null): Promise<void> {
  for (const key of kept.keys()) {
    if (key.startsWith(`files/${id}/`) && kept.get(key) !== listing.peek()) kept.delete(key);
  }
  if (listing.peek().key.startsWith(`files/${id}/`)) await listing.peek().load();
}

/** The folder that is shown, also before it is known; null for the root. */
export async function readShownFolder(): Promise<FileDocument | null> {
  const id = shownFolder();
  if (!id) return null;
  return currentFolder.peek()?.id === id ? currentFolder.peek() : api.get("/files/{id}", { path: { id } });
}

/** Puts a new or changed document into the lists that it belongs to, and takes it out of the others. */
export function upsert(file: FileDocument): void {
  batch(() => {
    for (const list of kept.values()) list.upsert(file);
    if (folders.has(file.id)) folders.set(file.id, file);
    if (currentFolder.peek()?.id === file.id) {
      currentFolder.value = file;
      crumbs.value = crumbs.peek().map((step) => (step.id === file.id ? { ...step, name: file.name } : step));
    }
  });
}

/** Takes documents out of all lists. */
export function remove(ids: Iterable<string>): void {
  const gone = [...ids];
  batch(() => { for (const list of kept.values()) list.remove(gone); });
}
