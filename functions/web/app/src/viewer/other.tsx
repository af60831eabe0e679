import type { FileDocument } from "../api";
import { kindIcon, kindOf } from "../files/kinds";
import { download } from "../files/operations";
import { formatSize } from "../format";
import { t } from "../i18n";
import { Icon } from "../ui";

/** A file that cannot be shown: what it is, and a way to get it. */
export function Other({ file, hasFailed }: { file: FileDocument; hasFailed: boolean }) {
  const kind = kindOf(file);
  return (
    <div class="viewer-other">
      <Icon name={kindIcon[kind]} size={72} />
      <h3><bdi>{file.name}</bdi></h3>
      <p>{[t(`kind.${kind}`), formatSize(file.size ?? 0)].join(" · ")}</p>
      <p>{t(hasFailed && kind !== "file" ? "viewer.failed" : "viewer.notShown")}</p>
      <button type="button" class="button primary" onClick={() => download(file)}><Icon name="download" />{t("action.download")}</button>
    </div>
  );
}
