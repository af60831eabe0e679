import { render } from "preact";
import { Icon, type IconName } from "./icons";

export interface MenuItem {
  label: string;
  icon?: IconName;
  run: () => void;
  /** The keys that do the same, as they are shown. */
  keys?: string;
  danger?: boolean;
  disabled?: boolean;
  /** Set for an item that is one of several choices. */
  checked?: boolean;
}
export type MenuEntry = MenuItem | "line";

let openMenuClose: (() => void) | null = null;

/** Opens a menu at an element or at a point. The focus returns when it closes. */
export function openMenu(at: Element | { x: number; y: number }, entries: MenuEntry[]): void {
  openMenuClose?.();
  const before = document.activeElement as HTMLElement | null;
  const menu = document.createElement("div");
  menu.className = "menu";
  menu.setAttribute("role", "menu");
  menu.tabIndex = -1;
  menu.popover = "auto";
  // Inside a landmark of the page, or inside the dialog, which alone takes part in events while it is open.
  ((at instanceof Element && at.closest("dialog")) || document.querySelector("main") || document.body).append(menu);
  let after: (() => void) | undefined;
  const close = (then?: () => void) => { after = then; menu.hidePopover(); };
  openMenuClose = close;
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const inside = menu.contains(document.activeElement) || document.activeElement === document.body;
    openMenuClose = null;
    render(null, menu);
    menu.remove();
    if (inside && before?.isConnected) before.focus();
    after?.();
  });
  menu.addEventListener("keydown", (event) => onKey(menu, event, close));
  render(<Items entries={entries} choose={(item) => close(item.run)} />, menu);
  menu.showPopover();
  place(menu, at);
  menu.querySelector<HTMLElement>("button:not(:disabled)")?.focus();
}

function Items({ entries, choose }: { entries: MenuEntry[]; choose: (item: MenuItem) => void }) {
  return <>{entries.map((entry) => entry === "line" ? <div class="menu-line" role="separator" /> : (
    <button type="button" role={entry.checked === undefined ? "menuitem" : "menuitemradio"} aria-checked={entry.checked}
      tabIndex={-1} class={`menu-item ${entry.danger ? "danger" : ""}`} disabled={entry.disabled} onClick={() => choose(entry)}>
      {entry.checked === undefined ? entry.icon && <Icon name={entry.icon} /> : <Icon name={entry.checked ? "check" : "blank"} />}
      <span class="menu-label">{entry.label}</span>
      {entry.keys && <kbd aria-hidden="true">{entry.keys}</kbd>}
    </button>
  ))}</>;
}

function place(menu: HTMLElement, at: Element | { x: number; y: number }): void {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const rtl = document.documentElement.dir === "rtl";
  const box = at instanceof Element ? at.getBoundingClientRect() : null;
  const point = at as { x: number; y: number };
  let x = box ? (rtl ? box.right - width : box.left) : rtl ? point.x - width : point.x;
  let y = box ? box.bottom + 4 : point.y;
  if (box && y + height > innerHeight - 8) y = box.top - height - 4;
  x = Math.max(8, Math.min(x, innerWidth - width - 8));
  y = Math.max(8, Math.min(y, innerHeight - height - 8));
  menu.style.left = `${x}px`;
  menu.style.top = `${y}px`;
}

function onKey(menu: HTMLElement, event: KeyboardEvent, close: () => void): void {
  const items = [...menu.querySelectorAll<HTMLElement>("button:not(:disabled)")];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to: Record<string, number> = { ArrowDown: (at + 1) % items.length, ArrowUp: (at <= 0 ? items.length : at) - 1, Home: 0, End: items.length - 1 };
  if (event.key in to) items[to[event.key]!]?.focus();
  else if (event.key === "Escape" || event.key === "Tab") close();
  else if (event.key.length === 1 && event.key !== " ") {
    const letter = event.key.toLowerCase();
    [...items.slice(at + 1), ...items].find((item) => item.textContent?.trim().toLowerCase().startsWith(letter))?.focus();
    return;
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
