import type { FileDocument } from "../api";
import { t } from "../i18n";
import { navigate, route } from "../router";
import { openMenu, toast } from "../ui";
import { actionsFor, menuOf, open, runAction } from "./actions";
import { clipboard } from "./clipboard";
import type { Listing } from "./listing";
import { crumbs, renaming } from "./state";

/** The documents that a key acts on: the selected ones, or the one with the cursor. */
export function targets(list: Listing): FileDocument[] {
  const chosen = list.chosen.peek();
  const file = list.cursor.peek() ? list.get(list.cursor.peek()!) : undefined;
  return chosen.length ? chosen : file ? [file] : [];
}

function go(list: Listing, to: number, event: KeyboardEvent): void {
  const items = list.items.peek();
  const file = items[Math.max(0, Math.min(items.length - 1, to))];
  if (!file) return;
  if (event.shiftKey) {
    list.anchor ??= list.cursor.peek() ?? file.id;
    list.selectTo(file.id);
  } else if (event.ctrlKey || event.metaKey) list.cursor.value = file.id;
  else list.selectOne(file.id);
}

let typed = "";
let typedAt = 0;

/** Moves to the next document whose name begins with what is typed. */
function typeAhead(list: Listing, letter: string): void {
  const now = Date.now();
  const again = now - typedAt > 800 || typed === letter;
  typed = now - typedAt > 800 ? letter : typed === letter ? letter : typed + letter;
  typedAt = now;
  const items = list.items.peek();
  const at = list.index.peek().get(list.cursor.peek() ?? "") ?? -1;
  const wanted = typed.toLocaleLowerCase();
  for (let step = again ? 1 : 0; step <= items.length; step++) {
    const file = items[(at + step + items.length) % items.length];
    if (file?.name.toLocaleLowerCase().startsWith(wanted)) return list.selectOne(file.id);
  }
}

function moves(list: Listing, columns: number, page: number): Record<string, number> {
  const at = list.index.peek().get(list.cursor.peek() ?? "");
  const last = list.items.peek().length - 1;
  if (at === undefined) return { ArrowDown: 0, ArrowUp: 0, ArrowRight: 0, ArrowLeft: 0, Home: 0, End: last, PageDown: 0, PageUp: 0 };
  const forward = document.documentElement.dir === "rtl" ? -1 : 1;
  return {
    ArrowDown: at + columns > last && Math.floor(at / columns) === Math.floor(last / columns) ? at : at + columns,
    ArrowUp: at - columns < 0 ? at : at - columns,
    Home: 0, End: last, PageDown: at + page * columns, PageUp: at - page * columns,
    ...(columns > 1 && { ArrowRight: at + forward, ArrowLeft: at - forward }),
  };
}

/** Moves the focus to the row with the cursor, once it is there. */
export function focusList(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(".list [tabindex='0']")?.focus());
}

async function selectAll(list: Listing): Promise<void> {
  const hide = list.more.peek() ? toast(t("core.loading"), { duration: Infinity }) : undefined;
  await list.loadAll();
  hide?.();
  list.select(list.items.peek().map(({ id }) => id));
}

/** Shows the folder above. */
export function goUp(): void {
  if (route.peek().screen === "files" && crumbs.peek().length) navigate({ screen: "files", folder: crumbs.peek().at(-2)?.id ?? null });
}

/** Keys that act on documents. Answers whether the key is one of them. */
function act(event: KeyboardEvent, list: Listing): boolean {
  const files = targets(list);
  const [first] = files;
  switch (event.key) {
    case "Enter":
      if (first) { if (first.trashedAt) runAction("restore", files); else open(first); }
      return true;
    case "F2": return runAction("rename", files);
    case "Delete": return runAction("trash", files) || runAction("destroy", files);
    case "Backspace": goUp(); return true;
    case "F10":
    case "ContextMenu": {
      if (event.key === "F10" && !event.shiftKey) return false;
      if (first && !list.selected.peek().size) list.selectOne(first.id);
      const row = (event.currentTarget as Element).querySelector(`[data-id="${list.cursor.peek()}"]`);
      if (first) openMenu(row ?? (event.currentTarget as Element), menuOf(actionsFor(files)));
      return true;
    }
    case "Escape":
      if (list.selected.peek().size) list.clear();
      else clipboard.clear();
      return true;
    default: return false;
  }
}

export function onListKey(event: KeyboardEvent, list: Listing, columns: number, page: number): void {
  if (renaming.peek() || event.defaultPrevented || (event.target as Element).matches("input")) return;
  const command = event.ctrlKey || event.metaKey;
  const to = event.altKey ? undefined : moves(list, columns, page)[event.key];
  if (to !== undefined) go(list, to, event);
  else if (event.altKey && event.key === "ArrowUp") goUp();
  else if (command && event.key.toLowerCase() === "a") void selectAll(list);
  else if (event.key === " " && !(typed && Date.now() - typedAt < 800)) { if (list.cursor.peek()) list.toggle(list.cursor.peek()!); }
  else if (!command && !event.altKey && event.key.length === 1 && !"/?".includes(event.key)) typeAhead(list, event.key);
  else if (command || event.altKey || !act(event, list)) return;
  event.preventDefault();
}
