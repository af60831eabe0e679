import { useState } from "preact/hooks";
import type { FileDocument } from "../api";
import { errorText } from "../errors";
import { t } from "../i18n";
import { Dialog, openDialog } from "../ui";
import { focusList } from "./keyboard";
import { newFolder } from "./operations";
import { listing } from "./state";

interface FormProps { parentId: string | null; close: (folder?: FileDocument) => void }

function Form({ parentId, close }: FormProps) {
  const [name, setName] = useState(() => t("files.untitledFolder"));
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    try {
      close(await newFolder(name.trim(), parentId));
    } catch (problem) {
      setError(errorText(problem));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("action.newFolder")} onClose={() => close()} onSubmit={() => void (name.trim() && submit())} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <button class="button primary" disabled={busy || !name.trim()}>{t("files.create")}</button>
    </>}>
      <label class="field">
        <span>{t("files.name")}</span>
        <input value={name} maxLength={255} aria-invalid={Boolean(error)} aria-describedby="folder-error" dir="auto"
          onInput={(event) => setName(event.currentTarget.value)} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <p id="folder-error" class="field-error" role="alert">{error}</p>
    </Dialog>
  );
}

/** Asks for a name and makes a folder. */
export async function askNewFolder(parentId: string | null): Promise<FileDocument | undefined> {
  const folder = await openDialog<FileDocument>((close) => <Form parentId={parentId} close={close} />);
  if (folder && listing.peek().get(folder.id)) {
    listing.peek().selectOne(folder.id);
    if (!document.querySelector("dialog[open]")) focusList();
  }
  return folder;
}
