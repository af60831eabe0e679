import { api, type FileDocument } from "../api";
import { showError } from "../errors";
import { pickFolder } from "../files/picker";
import { t } from "../i18n";

/** Lets the user choose a folder. Null is the root; undefined means that the user cancels, or that the folder is gone. */
export async function chooseFolder(title: string): Promise<FileDocument | null | undefined> {
  const picked = await pickFolder({ title, yes: t("account.chooseFolder") });
  if (!picked?.id) return picked && null;
  return api.get("/files/{id}", { path: { id: picked.id } }).catch((error: unknown) => void showError(error));
}
