import { useState } from "preact/hooks";
import { t } from "../i18n";
import { Dialog, openDialog } from "../ui";
import type { Entry } from "./model";

export type Choice = "rename" | "replace" | "skip";
const CHOICES: Choice[] = ["rename", "replace", "skip"];

/** Asks what to do about a name that is taken. `forAll` is called if the answer counts for the whole drop, or if the user closes the question. */
export async function askConflict(entry: Entry, others: number, forAll: (choice: Choice | "later") => void): Promise<Choice | "later"> {
  const answer = await openDialog<{ choice: Choice; isForAll: boolean }>((close) => <Question entry={entry} others={others} close={close} />);
  if (!answer || answer.isForAll) forAll(answer?.choice ?? "later");
  return answer?.choice ?? "later";
}

interface QuestionProps { entry: Entry; others: number; close: (answer?: { choice: Choice; isForAll: boolean }) => void }

function Question({ entry, others, close }: QuestionProps) {
  const [choice, setChoice] = useState<Choice>("rename");
  const [isForAll, setForAll] = useState(false);
  const place = entry.path ? t("uploads.conflictIn", { name: entry.name, folder: entry.path }) : t("uploads.conflictHere", { name: entry.name });
  return (
    <Dialog title={t("uploads.conflict")} onClose={() => close()} onSubmit={() => close({ choice, isForAll })} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("uploads.later")}</button>
      <button class="button primary">{t("uploads.continue")}</button>
    </>}>
      <p class="upload-question">{place}</p>
      <fieldset class="upload-choices">
        <legend class="upload-legend">{t("uploads.conflictWhat")}</legend>
        {CHOICES.map((one) => (
          <label key={one} class="upload-choice">
            <input type="radio" name="choice" value={one} checked={choice === one} onChange={() => setChoice(one)} />
            <span><strong>{t(`uploads.${one}`)}</strong><small>{t(`uploads.${one}Hint`)}</small></span>
          </label>
        ))}
      </fieldset>
      {others > 0 && (
        <label class="upload-all">
          <input type="checkbox" checked={isForAll} onChange={(event) => setForAll(event.currentTarget.checked)} />
          {t("uploads.forAll")}
        </label>
      )}
    </Dialog>
  );
}
