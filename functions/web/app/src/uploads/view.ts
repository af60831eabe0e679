import { batch, signal } from "@preact/signals";
import type { FileDocument } from "../api";
import { upsert } from "../files/state";
import type { Drop, Entry, State } from "./model";
import { STORED, uploadsRunning } from "./start";

/** So many entries are counted less often. */
const MANY = 1000;

/** The counts that the tray shows. */
export interface View {
  files: number;
  bytes: number;
  sent: number;
  /** The bytes that this page has sent. */
  moved: number;
  states: Record<State, number>;
  /** Bytes a second. */
  rate: number;
  /** True while dropped folders are read. */
  isReading: boolean;
  /** True after a reload that interrupted the reading of a dropped folder. */
  isCutOff: boolean;
  /** Grows with each change. */
  version: number;
}

export const entries = new Map<string, Entry>();
export const drops = new Map<string, Drop>();
/** What the entries do not say. */
export const totals = {
  /** The files and bytes of entries that are no longer in memory. */
  earlierFiles: 0,
  earlierBytes: 0,
  /** The drops that are being read. */
  reading: 0,
  isCutOff: false,
};
let finished: FileDocument[] = [];
let rate = 0;
let measured = { at: 0, moved: 0 };
let ticking = 0;

/** True if the account is full: then nothing is sent until the user says so. */
export const isFull = signal(false);
export const allPaused = signal(false);
export const view = signal<View>({ ...count(), version: 0 });

/** All entries: first those that need the user, last those that are done. */
export function list(): Entry[] {
  const order: State[] = ["asking", "missing", "failed", "sending", "waiting", "paused", "done"];
  const groups = new Map<State, Entry[]>(order.map((state) => [state, []]));
  for (const entry of entries.values()) groups.get(entry.state)!.push(entry);
  groups.get("done")!.reverse();
  return order.flatMap((state) => groups.get(state)!);
}

function count(): Omit<View, "version"> {
  const states: Record<State, number> = { waiting: 0, sending: 0, paused: 0, asking: 0, missing: 0, failed: 0, done: totals.earlierFiles };
  let bytes = totals.earlierBytes;
  let sent = totals.earlierBytes;
  let moved = 0;
  for (const entry of entries.values()) {
    states[entry.state]++;
    bytes += entry.size;
    const done = entry.state === "done" ? entry.size : entry.sent;
    sent += done;
    moved += Math.max(0, done - entry.there);
  }
  const files = totals.earlierFiles + entries.size;
  return { files, bytes, sent, moved, states, rate, isReading: totals.reading > 0, isCutOff: totals.isCutOff };
}

/** Shows what has changed, a few times a second. */
export function changed(): void {
  ticking ||= setTimeout(tick, entries.size > MANY ? 1000 : 250);
}

function tick(): void {
  ticking = 0;
  const next = count();
  measure(next.moved);
  view.value = { ...next, rate, version: view.peek().version + 1 };
  const { waiting, sending } = next.states;
  const isRunning = sending > 0 || next.isReading || (waiting > 0 && !allPaused.peek() && !isFull.peek());
  if (isRunning !== uploadsRunning.peek()) {
    uploadsRunning.value = isRunning;
    if (isRunning) addEventListener("beforeunload", ask);
    else removeEventListener("beforeunload", ask);
  }
  deliver();
  if (isRunning) changed();
}

// After `forgetUploads` there is nothing to ask for.
const ask = (event: BeforeUnloadEvent) => { if (localStorage.getItem(STORED)) event.preventDefault(); };

function measure(moved: number): void {
  const now = performance.now();
  const passed = (now - measured.at) / 1000;
  if (passed < 1) return;
  const current = Math.max(0, moved - measured.moved) / passed;
  // After a pause the rate begins anew.
  if (passed > 5) rate = 0;
  else rate = rate === 0 ? current : (rate + current) / 2;
  measured = { at: now, moved };
}

/** Gives new documents to the list of files, many at once. */
function deliver(): void {
  const documents = finished;
  finished = [];
  batch(() => documents.forEach(upsert));
}

export function finish(document: FileDocument): void {
  finished.push(document);
  changed();
}
