import { formatSize } from "../format";
import { t } from "../i18n";
import { Icon, type IconName } from "../ui";
import { type Entry, type State, typeOf } from "./model";
import * as queue from "./queue";
import * as shown from "./view";

interface RowProps { entry: Entry; index: number; count: number; choose: () => void }

/** A file in the tray. */
export function Row({ entry, index, count, choose }: RowProps) {
  // The entry is the same object with other fields.
  shown.view.value;
  const { name, path, state, size, sent } = entry;
  const isWrong = state === "failed" || state === "missing" || state === "asking";
  return (
    <li class={`tray-row ${isWrong ? "wrong" : state}`} aria-setsize={count} aria-posinset={index + 1}>
      <span class="tray-icon"><Icon name={state === "done" ? "check" : isWrong ? "warning" : typeOf(name)} /></span>
      <div class="tray-file">
        <span class="tray-name" title={path ? `${path}/${name}` : name}><bdi>{name}</bdi></span>
        <span class="tray-state">{status(entry)}</span>
        {state === "sending" && sent > 0 && <span class="tray-bar"><span style={{ inlineSize: `${(100 * sent) / (size || 1)}%` }} /></span>}
      </div>
      <Actions entry={entry} state={state} choose={choose} />
    </li>
  );
}

function status({ state, size, sent, problem }: Entry): string {
  switch (state) {
    case "done": return formatSize(size);
    case "sending": return sent > 0 ? t("uploads.of", { sent: formatSize(sent), size: formatSize(size) }) : formatSize(size);
    case "failed": return t(`uploads.${problem ?? "other"}`);
    case "missing": return t(problem === "unreadable" ? "uploads.unreadable" : "uploads.missing");
    default: return t(`uploads.${state}`);
  }
}

function Actions({ entry, state, choose }: { entry: Entry; state: State; choose: () => void }) {
  const { name } = entry;
  if (state === "done") return null;
  return (
    <div class="tray-actions">
      {(state === "waiting" || state === "sending") && <Action icon="pause" label={t("uploads.pause", { name })} run={() => queue.pause(entry)} />}
      {state === "paused" && <Action icon="play" label={t("uploads.resume", { name })} run={() => queue.resume(entry)} />}
      {state === "failed" && <Action icon="refresh" label={t("uploads.retry", { name })} run={() => queue.resume(entry)} />}
      {state === "asking" && <button type="button" class="link" aria-label={t("uploads.chooseFor", { name })} onClick={() => queue.decide(entry)}>{t("uploads.choose")}</button>}
      {state === "missing" && <button type="button" class="link" onClick={choose}>{t("uploads.chooseFiles")}</button>}
      <Action icon="close" label={t("uploads.cancel", { name })} run={() => queue.cancel(entry)} />
    </div>
  );
}

function Action({ icon, label, run }: { icon: IconName; label: string; run: () => void }) {
  return <button type="button" class="icon-button small" aria-label={label} title={label} onClick={run}><Icon name={icon} size={18} /></button>;
}
