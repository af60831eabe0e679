import { t } from "./i18n";
import { FilesScreen } from "./files/screen";
import { Toasts } from "./ui";

export function Shell() {
  return <><h1>{t("core.title")}</h1><main><FilesScreen /></main><Toasts /></>;
}
