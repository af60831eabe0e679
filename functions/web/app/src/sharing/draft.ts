import type { components } from "../api";
import { t } from "../i18n";
import type { Kind, Link } from "./links";

/** The options of a link as they are typed. */
export interface Draft {
  expiry: "keep" | "never" | "1" | "7" | "30" | "date";
  date: string;
  /** undefined keeps the password, null is none. */
  password: string | null | undefined;
  limit: string;
  size: string;
  unit: number;
  files: string;
  types: string[];
  otherTypes: string;
}
export type DraftField = "date" | "password" | "limit" | "size" | "files" | "otherTypes";
export type Problems = Partial<Record<DraftField, string>>;

export const units = [1e6, 1e9, 1e12];
/** The media types that have a box of their own. */
export const commonTypes = ["image/*", "video/*", "audio/*", "application/pdf", "text/*"];
const largestFile = 5 * 2 ** 40;
const longest = 315_360_000;
const mostCounted = 4_294_967_295;
const mediaType = /^[A-Za-z0-9!#$&^_.+-]{1,127}\/([A-Za-z0-9!#$&^_.+-]{1,127}|\*)$/;

export const newDraft = (): Draft => ({
  expiry: "30", date: "", password: null, limit: "", size: "", unit: 1e9, files: "", types: [], otherTypes: "",
});

export function draftOf(link: Link): Draft {
  const limited = link.maxBytes !== undefined && link.maxBytes < largestFile;
  const unit = limited ? units.findLast((size) => link.maxBytes! >= size) ?? 1e6 : 1e9;
  const types = link.types ?? [];
  return {
    ...newDraft(), expiry: "keep", password: link.hasPassword ? undefined : null, unit,
    limit: link.maxDownloads == null ? "" : String(link.maxDownloads),
    size: limited ? String(link.maxBytes! / unit) : "",
    files: link.maxFiles === undefined ? "" : String(link.maxFiles),
    types: types.filter((type) => commonTypes.includes(type)),
    otherTypes: types.filter((type) => !commonTypes.includes(type)).join(", "),
  };
}

/** The day in the form that a date field takes. */
export function dayOf(date: Date): string {
  const two = (part: number) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The time at which a new link with these options expires; null if it does not, or no day is chosen yet. */
export function expiryOf({ expiry, date }: Draft): Date | null {
  if (expiry === "never" || expiry === "keep") return null;
  if (expiry !== "date") return new Date(Date.now() + Number(expiry) * 86_400_000);
  const [year, month, day] = date.split("-").map(Number);
  return year && month && day ? new Date(year, month - 1, day, 23, 59, 59) : null;
}

const otherTypes = (draft: Draft): string[] => draft.otherTypes.split(/[,;\s]+/).filter(Boolean);
const bytesOf = ({ size, unit }: Draft): number => Math.round(Number(size) * unit);
const counts = (text: string): boolean => /^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= mostCounted;

/** What is wrong with the options of a link of this kind. */
export function problemsOf(draft: Draft, kind: Kind): Problems {
  const problems: Problems = {};
  if (draft.expiry === "date") {
    const end = expiryOf(draft);
    if (!end || end.getTime() <= Date.now()) problems.date = t("sharing.dateMissing");
    else if (end.getTime() > Date.now() + 1000 * longest) problems.date = t("sharing.dateFar");
  }
  if (draft.password && new TextEncoder().encode(draft.password).length > 1024) problems.password = t("sharing.passwordLong");
  if (kind === "download") {
    if (draft.limit !== "" && !counts(draft.limit)) problems.limit = t("sharing.limitInvalid");
    return problems;
  }
  if (draft.size !== "" && !(bytesOf(draft) >= 1 && bytesOf(draft) <= largestFile)) problems.size = t("sharing.requestSizeInvalid");
  if (draft.files !== "" && !counts(draft.files)) problems.files = t("sharing.limitInvalid");
  const bad = otherTypes(draft).find((type) => !mediaType.test(type));
  if (bad !== undefined) problems.otherTypes = t("sharing.typeInvalid", { type: bad });
  return problems;
}

/** The change that the options ask for. For a new link the same fields are what it begins with. */
export function changeOf(draft: Draft, kind: Kind): components["schemas"]["LinkChange"] {
  const end = expiryOf(draft);
  return {
    ...(draft.expiry !== "keep" && { expiresIn: end && Math.min(longest, Math.ceil((end.getTime() - Date.now()) / 1000)) }),
    ...(draft.password !== undefined && { password: draft.password || null }),
    ...(kind === "download" ? { maxDownloads: draft.limit === "" ? null : Number(draft.limit) } : {
      maxBytes: draft.size === "" ? null : bytesOf(draft),
      maxFiles: draft.files === "" ? null : Number(draft.files),
      types: [...draft.types, ...otherTypes(draft)],
    }),
  };
}

/** A password that is easy to read out: three groups of four, some 59 random bits. */
export function generatePassword(): string {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const group = () => Array.from({ length: 4 }, () => letters[randomBelow(letters.length)]).join("");
  return `${group()}-${group()}-${group()}`;
}

/** A random number without the bias of a remainder. */
function randomBelow(limit: number): number {
  for (;;) {
    const byte = crypto.getRandomValues(new Uint8Array(1))[0]!;
    if (byte < 256 - (256 % limit)) return byte % limit;
  }
}
