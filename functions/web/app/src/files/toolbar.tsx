import type { ComponentChildren } from "preact";
import { t } from "../i18n";
import { Icon, type MenuEntry, openMenu } from "../ui";
import { type Action, actionsFor, detailsShown, menuOf, showDetails } from "./actions";
import { listing } from "./state";
import { setView, type Sort, viewOf } from "./views";

/** What the toolbar shows beside its menu, in this order. */
const shown = ["restore", "destroy", "share", "download", "move", "rename", "trash", "publish"];

function Selection({ count, actions }: { count: number; actions: Action[] }) {
  const buttons = shown.flatMap((id) => actions.find((action) => action.id === id) ?? []);
  return (
    <div class="toolbar selection" role="toolbar" aria-label={t("files.selected", { count })}>
      <button class="icon-button" aria-label={t("files.clearSelection")} title={t("files.clearSelection")} onClick={() => listing.peek().clear()}><Icon name="close" /></button>
      <span class="count">{t("files.selected", { count })}</span>
      {buttons.map((action) => (
        <button key={action.id} class={`icon-button act-${action.id}`} aria-label={action.label} title={action.keys ? `${action.label} (${action.keys})` : action.label} onClick={action.run}>
          <Icon name={action.icon} />
        </button>
      ))}
      <button class="icon-button" aria-label={t("core.more")} title={t("core.more")} aria-haspopup="menu"
        onClick={(event) => openMenu(event.currentTarget, menuOf(actionsFor(listing.peek().chosen.peek())))}><Icon name="more" /></button>
    </div>
  );
}

/** The number of documents, or what can be done with the selected ones. */
export function Toolbar({ children }: { children?: ComponentChildren }) {
  const list = listing.value;
  const chosen = list.chosen.value;
  if (chosen.length) return <Selection count={chosen.length} actions={actionsFor(chosen)} />;
  const count = list.items.value.length;
  return (
    <div class="toolbar">
      <span class="count" role="status">{list.phase.value === "ready" && count > 0 && t(list.more.value ? "files.itemsMore" : "files.items", { count })}</span>
      {children}
    </div>
  );
}

function sortMenu(folder: string | null, onChange: () => void): MenuEntry[] {
  const view = viewOf(folder);
  const choose = (change: Parameters<typeof setView>[1]) => () => { setView(folder, change); onChange(); };
  const by = (sort: Sort, label: string) => ({ label, checked: view.sort === sort, run: choose({ sort }) });
  return [
    by("name", t("files.name")), by("size", t("files.size")), by("date", t("files.changed")), "line",
    { label: t("files.ascending"), checked: view.order === "asc", run: choose({ order: "asc" }) },
    { label: t("files.descending"), checked: view.order === "desc", run: choose({ order: "desc" }) },
  ];
}

interface ViewProps { folder: string | null; onSort?: () => void }

/** Buttons for the order, for list or grid, and for the details. */
export function ViewControls({ folder, onSort }: ViewProps) {
  const { mode } = viewOf(folder);
  const other = mode === "list" ? "grid" : "list";
  const label = t(other === "grid" ? "files.showGrid" : "files.showList");
  return (
    <div class="view-controls">
      {onSort && <button class="icon-button" aria-label={t("files.sort")} title={t("files.sort")} aria-haspopup="menu"
        onClick={(event) => openMenu(event.currentTarget, sortMenu(folder, onSort))}><Icon name="sort" /></button>}
      <button class="icon-button" aria-label={label} title={label} onClick={() => setView(folder, { mode: other })}><Icon name={other} /></button>
      <button class="icon-button details-button" aria-label={t("action.details")} title={t("action.details")} aria-pressed={detailsShown.value}
        onClick={() => showDetails(!detailsShown.peek())}><Icon name="info" /></button>
    </div>
  );
}
