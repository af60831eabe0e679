import { signal } from "@preact/signals";
import { api, type FileDocument } from "../api";

/** The folder that is shown; null is the root. */
export const currentFolder = signal<FileDocument | null>(null);
export const files = signal<FileDocument[]>([]);

/** Reads the folder again, if it is shown. null is the root. */
export async function refreshFolder(_id: string | null): Promise<void> {
  files.value = await api.get("/files", { query: { limit: 1000 } });
}
/** Puts a new or changed document into the list, if its folder is shown. */
export function upsert(_file: FileDocument): void {}
/** Takes documents out of the list. */
export function remove(_ids: Iterable<string>): void {}
