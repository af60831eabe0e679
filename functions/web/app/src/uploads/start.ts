import { signal } from "@preact/signals";

export const uploadsRunning = signal(false);

/** Uploads files and folders into a folder; null is the root. */
export function startUpload(_source: DataTransfer | FileList | File[], _folder: string | null): void {}
