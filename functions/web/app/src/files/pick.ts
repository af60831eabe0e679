import { startUpload } from "../uploads/start";

/** Lets the user choose files, or a folder, of the computer and uploads them. */
export function pickFiles(folder: boolean, to: string | null): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.webkitdirectory = folder;
  input.addEventListener("change", () => { if (input.files?.length) startUpload(input.files, to); });
  input.click();
}
