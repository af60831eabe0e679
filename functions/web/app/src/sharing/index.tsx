import type { FileDocument } from "../api";

export function openShare(_file: FileDocument): void {}
export function openFileRequest(_folder: FileDocument | null): void {}
export function downloadZip(_files: FileDocument[]): void {}
export function LinksScreen() { return null; }
