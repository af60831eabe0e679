import { api, ApiError, type components, type FileDocument } from "../api";
import { type Entry, typeOf } from "./model";

type Parts = components["schemas"]["MultipartInstructions"];
type Put = components["schemas"]["SinglePut"];

/** Up to this size a file travels inside the JSON: one request, where S3 needs three. */
const INLINE = 1 << 20;
/** Above this size the API splits a file into parts. */
const WHOLE = 100 << 20;
/** Parts of one file at the same time. */
const PARTS_AT_ONCE = 3;
const PUT_ATTEMPTS = 4;

export class Unreadable extends Error {}

interface Sending {
  entry: Entry;
  file: File;
  parentId: string;
  signal: AbortSignal;
  /** Is called when the entry has changed, and resolves when that is stored. */
  keep: () => Promise<void>;
}

/** Uploads a file, from where an earlier attempt has ended, and answers its document. */
export async function send(entry: Entry, file: File, parentId: string, signal: AbortSignal, keep: () => Promise<void>): Promise<FileDocument> {
  const sending = { entry, file, parentId, signal, keep };
  if (entry.size <= INLINE) return sendInline(sending);
  entry.sent = 0;
  entry.there = 0;
  const begun = entry.id && entry.size > WHOLE ? await resume(sending) : await begin(sending);
  if ("id" in begun) return begun;
  if ("parts" in begun) await putParts(sending, begun);
  else await putWhole(sending, begun);
  return complete(sending);
}

const fields = ({ entry, parentId }: Sending) => ({ name: entry.name, type: typeOf(entry.name), parentId, onConflict: entry.onConflict, isPublic: false });
/** One key for one request: a repeated one creates nothing. */
const keyOf = (entry: Entry) => ({ "Idempotency-Key": `${entry.key}.${entry.attempt}` });

async function sendInline(sending: Sending): Promise<FileDocument> {
  const { entry, file, signal } = sending;
  // The API takes white space for no bytes, and an empty text for no data.
  const data = (await base64(file)) || " ";
  const body = new Blob([JSON.stringify(fields(sending)).slice(0, -1), ',"data":"', data, '"}']);
  const headers = { ...keyOf(entry), "Content-Type": "application/json" };
  const answer = await api.send("/files", { method: "POST", headers, body, signal });
  return (await answer.json()) as FileDocument;
}

function base64(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve((reader.result as string).split(",")[1] ?? "");
    reader.onerror = () => reject(new Unreadable());
    reader.readAsDataURL(file);
  });
}

/** A file that is gone or was changed on the disk looks like a broken connection, so it is read first. */
async function checkReadable(file: File): Promise<void> {
  await file.slice(0, 1).arrayBuffer().catch(() => { throw new Unreadable(); });
}

/** Creates the document. Answers the instructions, or the document if an earlier attempt has sent all. */
async function begin(sending: Sending): Promise<Put | Parts | FileDocument> {
  const { entry, file, signal, keep } = sending;
  await checkReadable(file);
  const body = { ...fields(sending), size: file.size };
  const { upload, ...document } = await api.post("/files", { body, headers: keyOf(entry), signal });
  entry.id = document.id;
  await keep();
  return upload ?? document;
}

/** Goes on with a file in parts: S3 knows which parts it has. */
async function resume(sending: Sending): Promise<Put | Parts | FileDocument> {
  const { entry, file, signal } = sending;
  await checkReadable(file);
  try {
    return await api.get("/files/{id}/parts", { path: { id: entry.id! }, signal });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 409) return complete(sending);
    if (error.status !== 404) throw error;
    // After a day the API has removed it.
    again(entry);
    return begin(sending);
  }
}

/** The next request is a new one. */
export function again(entry: Entry): void {
  entry.id = undefined;
  entry.attempt++;
}

async function complete({ entry, signal }: Sending): Promise<FileDocument> {
  // With the header the client repeats the request if no answer comes.
  return api.post("/files/{id}/complete", { path: { id: entry.id! }, signal, headers: keyOf(entry) });
}

async function putWhole({ entry, file, signal }: Sending, { url, headers }: Put): Promise<void> {
  await put(url, file, headers, signal, (bytes) => { entry.sent = bytes; });
}

const uploadedIn = (parts: Parts) => (parts.uploaded ?? []).reduce((sum, part) => sum + part.size, 0);

async function putParts(sending: Sending, first: Parts): Promise<void> {
  const { entry, file, signal } = sending;
  entry.there = uploadedIn(first);
  for (let next = first; next.parts.length > 0; next = await api.get("/files/{id}/parts", { path: { id: entry.id! }, signal })) {
    const left = [...next.parts];
    const there = uploadedIn(next);
    const sent = new Map<number, number>();
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const lane = async () => {
      for (let part = left.shift(); part; part = left.shift()) {
        const { partNumber, offset, size, url } = part;
        await put(url, file.slice(offset, offset + size), {}, both, (bytes) => {
          sent.set(partNumber, bytes);
          entry.sent = there + [...sent.values()].reduce((sum, one) => sum + one, 0);
        });
      }
    };
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, lane)).finally(() => stop.abort());
  }
}

const seconds = (count: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener("abort", stop); resolve(); }, 1000 * count);
    signal.addEventListener("abort", stop, { once: true });
  });

/** Puts bytes to S3, and tries again after a failure that may pass. */
async function put(url: string, body: Blob, headers: Record<string, string>, signal: AbortSignal, progress: (bytes: number) => void): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const status = await putOnce(url, body, headers, signal, progress);
    // 412: an earlier attempt has put the same bytes, and its answer was lost.
    if ((status >= 200 && status < 300) || status === 412) return progress(body.size);
    progress(0);
    const mayPass = status === 0 || status === 429 || status >= 500;
    // 403: the URL has expired. The next attempt gets another.
    if (!mayPass || attempt >= PUT_ATTEMPTS) throw new ApiError(mayPass || status === 403 ? 503 : status, "S3");
    await seconds(2 ** (attempt - 1), signal);
  }
}

/** The status, or 0 without an answer. `fetch` tells nothing of the progress. */
function putOnce(url: string, body: Blob, headers: Record<string, string>, signal: AbortSignal, progress: (bytes: number) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    signal.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onloadend = () => {
      signal.removeEventListener("abort", stop);
      if (signal.aborted) reject(signal.reason);
      else resolve(request.status);
    };
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.send(body);
  });
}
