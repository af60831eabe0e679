import { t } from "../i18n";
import { Dialog } from "../ui";

interface FailuresProps { rows: { name: string; reason: string }[]; onClose: () => void }

/** The documents that an action failed for. */
export function Failures({ rows, onClose }: FailuresProps) {
  return (
    <Dialog title={t("files.failedMany", { count: rows.length })} onClose={onClose}
      actions={<button class="button primary" autofocus>{t("core.close")}</button>}>
      <ul class="failures">
        {rows.slice(0, 500).map(({ name, reason }, index) => <li key={index}><strong><bdi>{name}</bdi></strong><span>{reason}</span></li>)}
      </ul>
    </Dialog>
  );
}
