import "./texts";
import { api, ApiError } from "../api";
import { askConflict, type Choice, UNCOUNTED } from "../files/conflict";
import { account } from "../session";
import * as folders from "./folders";
import { gate, hold, isOutage, othersSucceededSince, succeeded } from "./gate";
import { type Drop, type Entry, type Problem, revive, type State, stored } from "./model";
import { problemOf, said } from "./problem";
import { again, send, Unreadable } from "./send";
import { type Source, startFailed, trayShown } from "./start";
import * as store from "./store";
import { allPaused, changed, drops, entries, finish, isFull, totals } from "./view";
import { type Found, walk } from "./walk";

/** Files at the same time: what a browser sends to one host. */
const LANES = 6;
/** Failures of one file in a row, while others succeed, after which it waits for the user. */
const TRIES = 5;
/** Up to this size the bytes are stored before the upload begins. Those of a larger file are stored meanwhile. */
const STORED_FIRST = 8 << 20;

const locks = new Map<string, () => void>();
/** The entries of a drop that are not done. */
const open = new Map<string, number>();
/** Entries that may be sent now, in order. */
let ready: Entry[] = [];
/** Entries that are in `ready`. */
const queued = new Set<Entry>();
let lanes = 0;

folders.onCreated(finish);

/** Takes the lock of a drop, which other tabs then leave alone. Answers false if another tab has it. */
function take(drop: Drop): Promise<boolean> {
  return new Promise((resolve) => {
    void navigator.locks.request(`${store.LOCK}${drop.id}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      if (lock) return new Promise<void>((release) => locks.set(drop.id, release));
      return undefined;
    });
  });
}

/** Adds what was dropped or chosen. */
export async function add(sources: Source[], folder: string | null): Promise<void> {
  const drop: Drop = { id: crypto.randomUUID(), user: account.peek()!.id, folder: folder ?? "0", files: 0, bytes: 0, isRead: false };
  await take(drop);
  drops.set(drop.id, drop);
  folders.register(drop, []);
  store.put("drops", drop.id, drop);
  store.mark(true);
  totals.reading++;
  changed();
  try {
    await walk(sources, (found) => accept(drop, found));
  } catch (error) {
    // The user has canceled it.
    if (drops.has(drop.id)) throw error;
  } finally {
    totals.reading--;
    drop.isRead = true;
    if (drops.has(drop.id)) store.put("drops", drop.id, drop);
    changed();
    endIfDone(drop.id);
  }
}

async function accept(drop: Drop, found: Found): Promise<void> {
  if (!drops.has(drop.id)) throw new Error("canceled");
  const known = found.folders.map((folder) => ({ ...folder, drop: drop.id }));
  for (const folder of known) store.put("folders", folder.key, folder);
  folders.register(drop, known);
  const added: Entry[] = [];
  const entry = (at: { folder: string | null; path: string }, name: string, size: number, modified: number): Entry => {
    const made = revive({ key: crypto.randomUUID(), drop: drop.id, ...at, name, size, modified, state: "waiting", onConflict: "fail", attempt: 0 });
    added.push(made);
    return made;
  };
  for (const { file, ...at } of found.files) entry(at, file.name, file.size, file.lastModified).file = file;
  for (const { name, ...at } of found.unreadable) Object.assign(entry(at, name, 0, 0), { state: "missing", problem: "unreadable" });
  drop.files += added.length;
  for (const one of added) {
    drop.bytes += one.size;
    store.put("entries", one.key, stored(one));
    if (one.file && one.size <= STORED_FIRST && (await store.reserve(one.size))) store.put("files", one.key, one.file);
    include(one);
  }
  store.put("drops", drop.id, drop);
  changed();
  // Before the first request its key is stored, so that a reload repeats the request and makes no second one.
  await store.flush();
  for (const one of added) {
    if (one.file && one.size > STORED_FIRST && (await store.reserve(one.size))) store.put("files", one.key, one.file);
    enqueue(one);
  }
  for (const { key } of known) void folders.idOf(key, drop.id).catch(() => {});
}

function include(entry: Entry): void {
  entries.set(entry.key, entry);
  open.set(entry.drop, (open.get(entry.drop) ?? 0) + 1);
}

/** Goes on with the drops of earlier pages, unless another tab does. */
export async function adopt(): Promise<void> {
  const user = account.peek()!.id;
  const kept = (await store.all("drops")).filter((drop) => drop.user === user && !drops.has(drop.id));
  const mine: Drop[] = [];
  for (const drop of kept) if (await take(drop)) mine.push(drop);
  const [knownFolders, knownEntries] = await Promise.all([store.all("folders"), store.all("entries")]);
  for (const drop of mine) {
    drops.set(drop.id, drop);
    folders.register(drop, knownFolders.filter((folder) => folder.drop === drop.id));
    const left = knownEntries.filter((entry) => entry.drop === drop.id);
    totals.earlierFiles += drop.files - left.length;
    totals.earlierBytes += drop.bytes - left.reduce((sum, entry) => sum + entry.size, 0);
    totals.isCutOff ||= !drop.isRead;
    drop.isRead = true;
    for (const entry of left) include(revive(entry));
  }
  if (entries.size > 0 || totals.isCutOff) trayShown.value = true;
  for (const entry of entries.values()) enqueue(entry);
  for (const { key, drop, id } of knownFolders) if (!id && drops.has(drop)) void folders.idOf(key, drop).catch(() => {});
  for (const drop of mine) endIfDone(drop.id);
  changed();
}

/** Puts an entry into the queue as soon as its folder is there. */
function enqueue(entry: Entry, first = false): void {
  if (entry.state !== "waiting") return changed();
  folders.idOf(entry.folder, entry.drop).then(() => {
    if (entry.state !== "waiting" || !entries.has(entry.key) || queued.has(entry)) return;
    queued.add(entry);
    if (first) ready.unshift(entry);
    else ready.push(entry);
    pump();
  }, (error) => settle(entry, error));
}

function pump(): void {
  while (lanes < LANES && ready.length > 0 && !allPaused.peek() && !isFull.peek()) {
    lanes++;
    void lane().finally(() => { lanes--; });
  }
}

async function lane(): Promise<void> {
  while (ready.length > 0 && !allPaused.peek() && !isFull.peek()) {
    await gate();
    const entry = ready.shift();
    if (!entry) return;
    queued.delete(entry);
    if (entry.state === "waiting" && entries.has(entry.key)) await upload(entry);
  }
}

async function upload(entry: Entry): Promise<void> {
  entry.state = "sending";
  const stop = new AbortController();
  entry.stop = stop;
  changed();
  try {
    entry.file ??= await store.fileOf(entry.key);
    if (!entry.file) throw new Unreadable();
    const parent = await folders.idOf(entry.folder, entry.drop);
    const document = await send(entry, entry.file, parent, stop.signal, () => { store.put("entries", entry.key, stored(entry)); return store.flush(); });
    succeeded();
    finish(document);
    complete(entry);
  } catch (error) {
    if (!stop.signal.aborted) settle(entry, error);
  } finally {
    if (entry.stop === stop) entry.stop = undefined;
    changed();
  }
}

function complete(entry: Entry): void {
  entry.state = "done";
  entry.file = undefined;
  discard(entry);
}

/** Nothing of the entry is needed after a reload. */
function discard(entry: Entry): void {
  store.remove("entries", entry.key);
  store.remove("files", entry.key);
  void store.release(entry.size);
  open.set(entry.drop, open.get(entry.drop)! - 1);
  endIfDone(entry.drop);
}

function endIfDone(id: string): void {
  if (drops.get(id)?.isRead && !open.get(id)) void endDrop(id);
}

async function endDrop(id: string): Promise<void> {
  // Empty folders count, too.
  await folders.allMade(id);
  if (!drops.delete(id)) return;
  open.delete(id);
  for (const key of folders.forget(id)) store.remove("folders", key);
  store.remove("drops", id);
  await store.flush();
  locks.get(id)?.();
  locks.delete(id);
  if (drops.size === 0) store.mark((await store.all("drops")).length > 0);
  changed();
}

/** Decides what follows a failure. */
function settle(entry: Entry, error: unknown): void {
  entry.sent = 0;
  if (error instanceof Unreadable) return put(entry, "missing", entry.file ? "unreadable" : undefined);
  if (isOutage(error)) return postpone(entry, error.retryAfter);
  if (!(error instanceof ApiError)) return put(entry, "failed", "other");
  if (error.status === 401) return postpone(entry);
  if (said(error, "The name is taken")) return conflict(entry);
  if (said(error, "The size is not") || error.status === 422) {
    again(entry);
    return postpone(entry);
  }
  if (said(error, "Parts are missing") || said(error, "The bytes are not there")) return postpone(entry);
  if (error.status === 507) isFull.value = true;
  put(entry, "failed", problemOf(error));
}

/** The entry waits for its turn again, after an outage. */
function postpone(entry: Entry, retryAfter?: number): void {
  entry.failedAt ||= Date.now();
  if (++entry.tries >= TRIES && othersSucceededSince(entry.failedAt)) {
    put(entry, "failed", "unavailable");
    return;
  }
  hold(retryAfter);
  put(entry, "waiting");
  enqueue(entry, true);
}

/** Sets and stores the state of an entry. */
function put(entry: Entry, state: State, reason?: Problem): void {
  entry.state = state;
  entry.problem = reason;
  store.put("entries", entry.key, stored(entry));
  changed();
}

let asking: Promise<void> = Promise.resolve();
/** The answers that count for all conflicts of a drop; "later" if the user has closed the question. */
const answers = new Map<string, Choice | "later">();

/** Asks what to do about an equal name. */
export function decide(entry: Entry): void {
  if (answers.get(entry.drop) === "later") answers.delete(entry.drop);
  conflict(entry);
}

async function answer(entry: Entry): Promise<Choice | "later"> {
  const isLast = (open.get(entry.drop) ?? 1) <= 1;
  const given = await askConflict({ name: entry.path ? `${entry.path}/${entry.name}` : entry.name, type: "file" }, isLast ? 0 : UNCOUNTED);
  if (!given || given.all) answers.set(entry.drop, given?.choice ?? "later");
  return given?.choice ?? "later";
}

function conflict(entry: Entry): void {
  put(entry, "asking");
  asking = asking.then(async () => {
    if (entry.state !== "asking") return;
    const chosen = answers.get(entry.drop) ?? (await answer(entry));
    if (chosen === "later" || entry.state !== "asking") return;
    if (chosen === "skip") return cancel(entry);
    entry.onConflict = chosen;
    again(entry);
    put(entry, "waiting");
    enqueue(entry, true);
  });
}

export function pause(entry: Entry): void {
  if (entry.state !== "waiting" && entry.state !== "sending") return;
  put(entry, "paused");
  entry.stop?.abort();
}

/** Resumes, or tries again after a failure. */
export function resume(entry: Entry): void {
  if (entry.problem === "deleted") again(entry);
  entry.tries = 0;
  entry.failedAt = 0;
  put(entry, "waiting");
  enqueue(entry, true);
}

/** Takes an entry out of the queue; what S3 has of it is removed. */
export function cancel(entry: Entry): void {
  const isSent = entry.state === "done";
  entry.stop?.abort();
  if (isSent) {
    totals.earlierFiles++;
    totals.earlierBytes += entry.size;
  }
  if (entries.delete(entry.key) && !isSent) {
    const drop = drops.get(entry.drop);
    if (drop) { drop.files--; drop.bytes -= entry.size; store.put("drops", drop.id, drop); }
    discard(entry);
    if (entry.id) void removeUpload(entry.id);
  }
  changed();
}

async function removeUpload(id: string): Promise<void> {
  // The API removes it by itself after a day.
  await api.delete("/files/{id}", { path: { id } }).catch(() => {});
}

export function pauseAll(): void {
  allPaused.value = true;
  for (const entry of entries.values()) {
    if (entry.state !== "sending") continue;
    put(entry, "waiting");
    entry.stop?.abort();
    enqueue(entry, true);
  }
  changed();
}

export function resumeAll(): void {
  allPaused.value = false;
  isFull.value = false;
  for (const entry of entries.values()) {
    if (entry.state === "paused" || (entry.state === "failed" && entry.problem !== "other")) resume(entry);
  }
  pump();
  changed();
}

export function cancelAll(): void {
  for (const drop of drops.values()) drop.isRead = true;
  for (const entry of [...entries.values()]) if (entry.state !== "done") cancel(entry);
  for (const id of [...drops.keys()]) {
    folders.abandon(id);
    void endDrop(id);
  }
  closeTray();
}

/** Takes a file that the user has chosen again. Answers false if it is another file. */
export function replaceMissing(entry: Entry, file: File): boolean {
  if (file.name !== entry.name || (entry.problem !== "unreadable" && file.size !== entry.size)) return false;
  if (file.size !== entry.size || file.lastModified !== entry.modified) {
    again(entry);
    Object.assign(entry, { size: file.size, modified: file.lastModified });
  }
  entry.file = file;
  resume(entry);
  return true;
}

/** Forgets what is done and hides the tray. */
function closeTray(): void {
  entries.clear();
  queued.clear();
  ready = [];
  Object.assign(totals, { earlierFiles: 0, earlierBytes: 0, isCutOff: false });
  isFull.value = false;
  allPaused.value = false;
  trayShown.value = false;
  startFailed.value = false;
  answers.clear();
  changed();
}
