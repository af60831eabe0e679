import { ApiError } from "../api";
import type { Problem } from "./model";

/** True if the API has answered with an error that begins so. */
export const said = (error: unknown, text: string) => error instanceof ApiError && error.message.startsWith(text);

/** What an error means for the user. */
export function problemOf(error: ApiError): Problem {
  const texts: [string, Problem][] = [
    ["Parent", "folderGone"], ["Too deep", "tooDeep"], ["Invalid name", "name"], ["The file this request", "deleted"], ["Not found", "deleted"],
    ["A folder is not replaced", "notReplaced"], ["1000 uploads", "tooMany"],
  ];
  if (error.status === 507) return "quota";
  if (error.status === 413) return "tooLarge";
  return texts.find(([text]) => said(error, text))?.[1] ?? "other";
}
