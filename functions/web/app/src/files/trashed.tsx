import type { FileDocument } from "../api";
import { t } from "../i18n";
import { confirm } from "../ui";
import { restore } from "./operations";

/** Asks whether a document is to come out of the trash: there it cannot be opened. */
export async function askRestore(file: FileDocument): Promise<void> {
  const agreed = await confirm({ title: t("trash.openTitle", { name: file.name }), text: t("trash.openText"), yes: t("action.restore") });
  if (agreed) await restore([file]);
}
