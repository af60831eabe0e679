/** What was dropped or chosen at once. */
export interface Drop {
  id: string;
  user: string;
  /** The id of the folder; "0" for the root. */
  folder: string;
  files: number;
  bytes: number;
  /** False until everything in the dropped folders was found. */
  isRead: boolean;
}

/** A folder of a drop. */
export interface Folder {
  /** Also the Idempotency-Key. */
  key: string;
  drop: string;
  /** The key of the folder around it; null if that is the folder of the drop. */
  parent: string | null;
  name: string;
  path: string;
  /** Once it is there. */
  id?: string;
}

export type State = "waiting" | "sending" | "paused" | "asking" | "missing" | "failed" | "done";

/** What the database keeps of a file of a drop. */
export interface Stored {
  key: string;
  drop: string;
  folder: string | null;
  name: string;
  path: string;
  size: number;
  modified: number;
  state: State;
  onConflict: "fail" | "rename" | "replace";
  /** Is part of the Idempotency-Key. It grows when the request changes. */
  attempt: number;
  /** The document whose bytes go to S3. */
  id?: string;
  problem?: Problem;
}

export type Problem =
  | "quota" | "tooLarge" | "folderGone" | "name" | "deleted" | "tooMany" | "notReplaced" | "unreadable" | "unavailable" | "tooDeep" | "other";

export interface Entry extends Stored {
  /** Not there after a reload until it is read from the database, or chosen again. */
  file?: File;
  sent: number;
  /** The bytes that S3 had from an earlier attempt; they say nothing of the speed. */
  there: number;
  tries: number;
  /** The time of the first failure in a row. */
  failedAt: number;
  stop?: AbortController;
}

export const stored = ({ file, sent, there, tries, failedAt, stop, ...rest }: Entry): Stored => ({
  ...rest,
  state: rest.state === "sending" || rest.state === "asking" ? "waiting" : rest.state,
});

export const revive = (kept: Stored): Entry => ({ ...kept, sent: 0, there: 0, tries: 0, failedAt: 0 });

/** The extensions of the pictures that the API makes thumbnails of. */
const PICTURES = /\.(jpe?g|jpe|jfif|png|gif|webp|hei[cf]|tiff?|bmp|ico|jxl)$/i;

export const typeOf = (name: string): "image" | "file" => (PICTURES.test(name) ? "image" : "file");
