import { computed, signal } from "@preact/signals";
import { api, ApiError, type components, type FileDocument } from "../api";

export type Link = components["schemas"]["Link"];
export type Kind = components["schemas"]["LinkKind"];
export type LinkState = "active" | "expired" | "usedUp";

/** The links that have been read, by their ids. */
const known = signal<ReadonlyMap<string, Link>>(new Map());
/** All links that are known, newest first. */
export const links = computed(() => [...known.value.values()].sort((a, b) => b.createdAt.localeCompare(a.createdAt)));

/** Reads the links of a file, or all links. */
export async function loadLinks(fileId?: string): Promise<void> {
  const found = await api.get("/links", fileId === undefined ? {} : { query: { fileId } });
  const others = [...known.peek()].filter(([, link]) => fileId !== undefined && link.fileId !== fileId);
  known.value = new Map([...others, ...found.map((link) => [link.id, link] as const)]);
}

export async function createLink(body: components["schemas"]["NewLink"]): Promise<Link> {
  return keep(await api.post("/links", { body }));
}

export async function changeLink(id: string, body: components["schemas"]["LinkChange"]): Promise<Link> {
  return keep(await api.patch("/links/{id}", { path: { id }, body }));
}

/** Deletes a link. A link that is not there any more counts as deleted. */
export async function deleteLink(id: string): Promise<void> {
  await api.delete("/links/{id}", { path: { id } }).catch((error: unknown) => {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  });
  known.value = new Map([...known.peek()].filter(([other]) => other !== id));
}

function keep(link: Link): Link {
  known.value = new Map([...known.peek(), [link.id, link]]);
  return link;
}

export function stateOf({ expiresAt, maxDownloads, downloads }: Link): LinkState {
  if (expiresAt && Date.parse(expiresAt) <= Date.now()) return "expired";
  return maxDownloads != null && downloads >= maxDownloads ? "usedUp" : "active";
}

/** The documents of links by their ids; null for those in the trash, and deleted ones. */
export const documents = signal<ReadonlyMap<string, FileDocument | null>>(new Map());
const asked = new Set<string>();
const atOnce = 6;

/** Reads the documents that are not known yet, some at a time. */
export async function loadDocuments(ids: Iterable<string>): Promise<void> {
  const queue = [...new Set(ids)].filter((id) => !asked.has(id));
  for (const id of queue) asked.add(id);
  const work = async () => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      const found = await readDocument(id);
      if (found === undefined) asked.delete(id);
      else documents.value = new Map([...documents.peek(), [id, found]]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

async function readDocument(id: string): Promise<FileDocument | null | undefined> {
  try {
    return await api.get("/files/{id}", { path: { id } });
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? null : undefined;
  }
}

/** Forgets what is known of the documents, so that the next look reads them again. */
export function forgetDocuments(): void {
  asked.clear();
}
