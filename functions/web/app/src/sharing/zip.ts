import { signal, type Signal } from "@preact/signals";
import { api, ApiError, type components, type FileDocument } from "../api";
import { errorText } from "../errors";
import { type Key, locale, t } from "../i18n";
import { toast } from "../ui";

type Zip = components["schemas"]["Zip"];
const most = 1000;
const firstWait = 400;
const longestWait = 5000;

/** What the API says when it makes no ZIP, and what the user reads. */
const reasons: [string, Key][] = [
  ["10 ZIPs", "sharing.zipBusy"], ["100 ZIPs", "sharing.zipDay"], ["Not found", "sharing.zipGone"], ["None of the documents", "sharing.zipGone"],
  ["Files were deleted", "sharing.zipChanged"], ["The ZIP would", "sharing.zipLarge"], ["The ZIP could not", "sharing.zipFailed"],
];
const reason = (message: string): Key | undefined => reasons.find(([begin]) => message.startsWith(begin))?.[1];

class Failed extends Error {}

function explainZip(error: unknown): string {
  const message = error instanceof Failed || error instanceof ApiError ? error.message : "";
  const key = reason(message) ?? (error instanceof Failed ? "sharing.zipFailed" : undefined);
  return key ? t(key) : errorText(error);
}

/** Lets the browser save what an address answers. The cookie of the session goes with it. */
function save(address: string): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = "";
  link.click();
}

/** Downloads a single file directly, and everything else as a ZIP, which is made first. Goes on while other screens are shown. */
export async function downloadZip(files: FileDocument[]): Promise<void> {
  const only = files.length === 1 ? files[0] : undefined;
  try {
    if (only && only.type !== "folder") await downloadFile(only);
    else if (files.length > most) toast(t("sharing.zipMany"), { kind: "error" });
    else if (files.length > 0) await downloadAsZip(files.map(({ id }) => id));
  } catch (error) {
    toast(explainZip(error), { kind: "error", action: { label: t("core.retry"), run: () => void downloadZip(files) } });
  }
}

/** Asks for the document first: a download that fails would say nothing to the user. */
async function downloadFile({ id }: FileDocument): Promise<void> {
  await api.get("/files/{id}", { path: { id } });
  save(`/files/${id}/data?download=1`);
}

async function downloadAsZip(ids: string[]): Promise<void> {
  const text = signal(t("sharing.zipStart"));
  const takeAway = toast(text, { duration: Infinity });
  try {
    const { id } = await finished(await api.post("/zips", { body: { ids } }), text);
    save(`/zips/${id}/data`);
    toast(t("sharing.zipReady"), { action: { label: t("sharing.zipAgain"), run: () => save(`/zips/${id}/data`) } });
  } finally {
    takeAway();
  }
}

/** Waits until a ZIP is made. Asks less and less often. */
async function finished(zip: Zip, text: Signal<string>): Promise<Zip> {
  for (let wait = firstWait; zip.state !== "ready"; wait = Math.min(1.5 * wait, longestWait)) {
    if (zip.state === "failed") throw new Failed(zip.error);
    if (zip.bytes) text.value = t("sharing.zipProgress", { percent: percent(zip.done / zip.bytes) });
    await new Promise((resolve) => setTimeout(resolve, wait));
    zip = await api.get("/zips/{id}", { path: { id: zip.id } });
  }
  return zip;
}

const percent = (part: number): string => new Intl.NumberFormat(locale.peek(), { style: "percent" }).format(Math.min(1, part));
