import type { FileDocument } from "../api";
import { kindOf } from "../files/kinds";

export type Shown = "picture" | "video" | "audio" | "text" | "pdf" | "other";

/** Formats that only Safari shows. Of them others see the largest thumbnail. */
const RARE = /\.(hei[cf]|tiff?|jxl)$/i;
const isSafari = /^((?!chrom|android).)*safari/i.test(navigator.userAgent);
/** A file of unknown kind is tried as text up to this size. */
const TRIED = 512 << 10;

/** How a file is shown. */
export function shownAs(file: FileDocument): Shown {
  const kind = kindOf(file);
  switch (kind) {
    case "image": return "picture";
    case "video": case "audio": case "pdf": return kind;
    case "text": case "code": return "text";
    default: return kind === "file" && (file.size ?? 0) <= TRIED ? "text" : "other";
  }
}

/** The address of the content, or of a thumbnail. The revision changes with the content, so that a browser may keep it. */
export const contentOf = (file: FileDocument, size?: number): string =>
  `/files/${file.id}/data?${size ? `size=${size}&` : ""}v=${file.revision}`;

/** The addresses of a picture, the best one first. */
export function picturesOf(file: FileDocument): string[] {
  const thumbnails = file.thumbnails === "ready" ? [contentOf(file, 500)] : [];
  return RARE.test(file.name) && !isSafari ? thumbnails : [contentOf(file), ...thumbnails];
}
