import { useState } from "preact/hooks";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { Dialog, openDialog } from "../ui";

export type Choice = "rename" | "replace" | "skip";

/** The number of conflicts that may follow is not known before everything is uploaded. */
export const UNCOUNTED = Infinity;

interface AskProps { file: Pick<FileDocument, "name" | "type">; more: number; choose: (answer?: { choice: Choice; all: boolean }) => void }

function Ask({ file, more, choose }: AskProps) {
  const folder = file.type === "folder";
  const [choice, setChoice] = useState<Choice>("rename");
  const [all, setAll] = useState(false);
  const option = (value: Choice, label: string, text: string) => (
    <label class="choice">
      <input type="radio" name="choice" checked={choice === value} onChange={() => setChoice(value)} />
      <span><strong>{label}</strong><small>{text}</small></span>
    </label>
  );
  return (
    <Dialog title={t("conflict.title")} onClose={() => choose()} onSubmit={() => choose({ choice, all })} actions={<>
      <button type="button" class="button" onClick={() => choose()}>{t("core.cancel")}</button>
      <button class="button primary">{t("conflict.continue")}</button>
    </>}>
      <p>{t("conflict.text", { name: file.name })}</p>
      <fieldset class="choices">
        <legend class="hidden">{t("conflict.title")}</legend>
        {option("rename", t("conflict.rename"), t("conflict.renameText"))}
        {!folder && option("replace", t("conflict.replace"), t("conflict.replaceText"))}
        {option("skip", t("conflict.skip"), t("conflict.skipText"))}
      </fieldset>
      {more > 0 && <label class="check"><input type="checkbox" checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />
        {more === UNCOUNTED ? t("conflict.allOthers") : t("conflict.all", { count: more })}</label>}
    </Dialog>
  );
}

/** Asks what to do with one document whose name is taken. Undefined means that the user cancels. */
export function askConflict(file: Pick<FileDocument, "name" | "type">, more = 0): Promise<{ choice: Choice; all: boolean } | undefined> {
  return openDialog((close) => <Ask file={file} more={more} choose={close} />);
}

/** Asks for each document, until an answer is for all. To cancel is to skip the rest. */
export async function askConflicts(files: FileDocument[]): Promise<Map<string, Choice>> {
  const choices = new Map<string, Choice>();
  for (const [index, file] of files.entries()) {
    const rest = files.slice(index);
    const answer = await askConflict(file, rest.length - 1);
    if (!answer || answer.all) {
      // A folder is never replaced: it gets another name.
      for (const { id, type } of rest) choices.set(id, !answer ? "skip" : answer.choice === "replace" && type === "folder" ? "rename" : answer.choice);
      break;
    }
    choices.set(file.id, answer.choice);
  }
  return choices;
}
