import { useState } from "preact/hooks";
import { chooseFolder } from "../account/folder";
import { Field, Problem, SubmitButton, useSubmit } from "../account/form";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { Dialog, Icon, openDialog } from "../ui";
import { refused, useDraft } from "./edit";
import { LinkFields } from "./fields";
import { LinksOf } from "./list";
import { Done, type Made, makeLink } from "./share";

/** Requests files for a folder; for null the folder is chosen in the dialog. */
export function openFileRequest(folder: FileDocument | null): void {
  void openDialog((close) => <Request first={folder} close={close} />, "wide");
}

function Request({ first, close }: { first: FileDocument | null; close: () => void }) {
  const [folder, setFolder] = useState(first);
  const [folderProblem, setFolderProblem] = useState<string | null>(null);
  const { draft, problems, fields, change, check, reset } = useDraft("upload");
  const [made, setMade] = useState<Made | null>(null);
  const { busy, problem, submit } = useSubmit(async () => {
    setMade(null);
    if (!folder) setFolderProblem(t("sharing.requestMissing"));
    if (!check() || !folder) return;
    setMade(await makeLink(folder.id, draft, "upload"));
    reset();
  }, refused);
  const choose = (chosen: FileDocument | null) => {
    setFolder(chosen);
    setFolderProblem(chosen ? null : t("sharing.requestRoot"));
    setMade(null);
  };
  return (
    <Dialog title={t("sharing.requestTitle")} onClose={close} onSubmit={submit} actions={<>
      <button type="button" class="button" onClick={close}>{t("core.cancel")}</button>
      <SubmitButton class="button primary" busy={busy} busyText={t("sharing.creating")}><Icon name="link" />{t("sharing.requestCreate")}</SubmitButton>
    </>}>
      <div class="stack" ref={fields}>
        <p class="muted">{t("sharing.requestText")}</p>
        <Done made={made} />
        <FolderField folder={folder} choose={choose} problem={folderProblem} />
        <LinkFields draft={draft} change={change} problems={problems} kind="upload" />
        <Problem>{problem}</Problem>
        {folder && <LinksOf fileId={folder.id} kind="upload" />}
      </div>
    </Dialog>
  );
}

interface FolderProps { folder: FileDocument | null; choose: (folder: FileDocument | null) => void; problem: string | null }

function FolderField({ folder, choose, problem }: FolderProps) {
  const pick = async () => {
    const picked = await chooseFolder(t("sharing.requestChooseTitle"));
    if (picked !== undefined) choose(picked);
  };
  return (
    <Field label={t("sharing.requestFolder")} error={problem}>
      {(own) => (
        <button {...own} type="button" class="button choose-folder" onClick={() => void pick()}>
          <Icon name="folder" /><span class="ellipsis" dir="auto">{folder ? folder.name : t("sharing.requestChoose")}</span>
        </button>
      )}
    </Field>
  );
}
