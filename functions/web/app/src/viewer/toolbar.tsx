import type { FileDocument } from "../api";
import { showError } from "../errors";
import { download, trash } from "../files/operations";
import { t } from "../i18n";
import { Icon, type IconName } from "../ui";

interface ToolbarProps { file: FileDocument; hasFacts: boolean; onFacts: () => void; onClose: () => void; beforeTrash: () => void }

export function Toolbar({ file, hasFacts, onFacts, onClose, beforeTrash }: ToolbarProps) {
  const share = () => void import("../sharing").then((module) => module.openShare(file)).catch(showError);
  // The viewer leaves the file first: afterwards it is in no list.
  const discard = () => { beforeTrash(); void trash([file]).catch(showError); };
  return (
    <header class="viewer-bar">
      <Tool icon="back" label={t("viewer.close")} run={onClose} />
      <h2 class="viewer-name" title={file.name}><bdi>{file.name}</bdi></h2>
      <Tool icon="download" label={t("action.download")} run={() => download(file)} />
      {!file.trashedAt && <Tool icon="share" label={t("action.share")} run={share} />}
      <Tool icon="info" label={t("action.details")} run={onFacts} isPressed={hasFacts} />
      {!file.trashedAt && <Tool icon="trash" label={t("action.trash")} run={discard} />}
    </header>
  );
}

function Tool({ icon, label, run, isPressed }: { icon: IconName; label: string; run: () => void; isPressed?: boolean }) {
  return <button type="button" class="icon-button" aria-label={label} title={label} aria-pressed={isPressed} onClick={run}><Icon name={icon} /></button>;
}
