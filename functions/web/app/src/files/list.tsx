import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { FileDocument } from "../api";
import { openMenu, type MenuEntry } from "../ui";
import { actionsFor, menuOf, open } from "./actions";
import { dragOver, drop, isOver, startDrag } from "./drag";
import { onListKey } from "./keyboard";
import { startLasso } from "./lasso";
import type { Listing } from "./listing";
import { ListHead, type HeadProps, Row, Tile } from "./rows";
import { renaming } from "./state";
import { reveal, type Shape, useShape, useVirtual } from "./virtual";

const headHeight = 37;
const listShape = (found: boolean) => (width: number): Shape => {
  const compact = width < 600;
  return { columns: 1, height: compact || found ? 58 : 44, compact };
};
const gridShape = (width: number): Shape => {
  const compact = width < 600;
  return { columns: Math.max(2, Math.floor((width - 16) / (compact ? 150 : 184))), height: compact ? 176 : 200, compact };
};

export interface ListProps {
  list: Listing;
  mode: "list" | "grid";
  label: string;
  /** Sorting by the heads of the columns, if the list can be sorted. */
  sorting?: HeadProps["sorting"];
  /** What the last column shows: when a document was changed, or when it is deleted. */
  last?: "changed" | "deleted";
  /** Shows the path of each document. */
  paths?: boolean;
  /** The menu of the empty space. */
  menu?: () => MenuEntry[];
}

const idAt = (event: Event): string | null => (event.target as Element).closest<HTMLElement>("[data-id]")?.dataset.id ?? null;

/** Selects what was clicked, as desktops do. */
function onClick(list: Listing, event: MouseEvent): void {
  const id = idAt(event);
  if (!id || renaming.peek() === id) return;
  const file = list.get(id)!;
  const target = event.target as Element;
  const touch = (event as PointerEvent).pointerType === "touch";
  if (target.closest("[data-more]")) return showMenu(list, file, target.closest("[data-more]")!);
  if (target.closest("[data-check]") || event.ctrlKey || event.metaKey) list.toggle(id);
  else if (event.shiftKey) list.selectTo(id);
  else if (touch && list.selected.peek().size) list.toggle(id);
  else if (touch) open(file);
  else list.selectOne(id);
}

function showMenu(list: Listing, file: FileDocument, at: Element | { x: number; y: number }): void {
  if (!list.selected.peek().has(file.id)) list.selectOne(file.id);
  openMenu(at, menuOf(actionsFor(list.chosen.peek())));
}

function onContextMenu({ list, menu }: ListProps, event: MouseEvent, touched: boolean): void {
  const id = idAt(event);
  if ((event.target as Element).closest("input")) return;
  event.preventDefault();
  if (touched) return;
  const row = (event.target as Element).closest("[data-id]");
  // The key of the menu has no place of its own: the menu opens at the row.
  const at = event.button === 2 || !row ? { x: event.clientX, y: event.clientY } : row;
  if (id) showMenu(list, list.get(id)!, at);
  else if (menu) { list.clear(); openMenu(at, menu()); }
}

function onDragStart(list: Listing, event: DragEvent): void {
  const id = idAt(event);
  if (!id || renaming.peek() || list.get(id)?.trashedAt) return event.preventDefault();
  if (!list.selected.peek().has(id)) list.selectOne(id);
  startDrag(event, list.chosen.peek());
}

function folderAt(list: Listing, event: Event): FileDocument | undefined {
  const id = idAt(event);
  const file = id ? list.get(id) : undefined;
  return file?.type === "folder" && !file.trashedAt ? file : undefined;
}

/** A long press on a touch screen selects. */
function useLongPress(list: Listing) {
  const press = useRef<{ timer: ReturnType<typeof setTimeout>; x: number; y: number } | null>(null);
  const touched = useRef(false);
  const end = () => { if (press.current) clearTimeout(press.current.timer); press.current = null; };
  const start = (event: PointerEvent) => {
    touched.current = event.pointerType === "touch";
    const id = idAt(event);
    if (!touched.current || !id) return;
    const timer = setTimeout(() => {
      list.toggle(id);
      navigator.vibrate?.(10);
      // The click at the end of the press must not toggle it again.
      const swallow = (click: Event) => { click.stopPropagation(); click.preventDefault(); };
      addEventListener("click", swallow, true);
      addEventListener("pointerup", () => setTimeout(() => removeEventListener("click", swallow, true), 50), { once: true });
    }, 450);
    press.current = { timer, x: event.clientX, y: event.clientY };
  };
  const move = (event: PointerEvent) => {
    if (press.current && Math.hypot(event.clientX - press.current.x, event.clientY - press.current.y) > 10) end();
  };
  return { touched, start, move, end };
}

/** True while the focus is in the list, also while its row or the list itself is replaced. */
let focused = false;

/** Keeps the focus in the list, on the row with the cursor, while that moves and rows come and go. */
function useFocus(box: { current: HTMLElement | null }, list: Listing, { columns, height }: Shape, top: number) {
  const cursor = list.cursor.value;
  useLayoutEffect(() => {
    const active = document.activeElement;
    if (!focused || renaming.peek() || (active !== document.body && !box.current!.contains(active))) return;
    const at = list.index.peek().get(cursor ?? "");
    if (at !== undefined) reveal(box.current!, Math.floor(at / columns), height, top);
    const row = at === undefined ? (active === document.body ? "[tabindex='0']" : null) : `[data-id="${cursor}"]`;
    if (row) box.current!.querySelector<HTMLElement>(row)?.focus({ preventScroll: true });
  }, [cursor, list, renaming.value, list.items.value]);
  return {
    onFocusIn: () => { focused = true; },
    onFocusOut: (event: FocusEvent) => { if (event.relatedTarget && !box.current!.contains(event.relatedTarget as Node)) focused = false; },
  };
}

/** Reads more pages before the end of what was read comes into sight. */
function useMore(list: Listing, lastSeen: number): void {
  const count = list.items.value.length;
  const phase = list.phase.value;
  useEffect(() => { if (phase === "ready" && lastSeen > count - 2000) void list.loadMore(); }, [list, lastSeen, count, phase]);
}

function useScrollMemory(box: { current: HTMLElement | null }, list: Listing): void {
  useLayoutEffect(() => {
    const element = box.current!;
    element.scrollTop = list.scroll;
    const remember = () => { list.scroll = element.scrollTop; };
    element.addEventListener("scroll", remember, { passive: true });
    return () => element.removeEventListener("scroll", remember);
  }, [list]);
}

/** A list or a grid of documents of any length; only what is seen is in the page. */
export function FileList(props: ListProps) {
  const { list, mode, label, sorting, last = "changed", paths = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const items = list.items.value;
  const grid = mode === "grid";
  const shape = useShape(box, grid ? gridShape : listShape(paths), `${mode}${paths}`);
  const { columns, height, compact } = shape;
  const top = grid || compact ? 0 : headHeight;
  const range = useVirtual(box, items.length, shape);
  const focus = useFocus(box, list, shape, top);
  const press = useLongPress(list);
  useScrollMemory(box, list);
  useMore(list, range.last * columns);

  const lines: number[] = [];
  for (let line = range.first; line < range.last; line++) lines.push(line);
  // The line with the focus stays in the page, or the focus would be lost.
  const cursorAt = list.index.value.get(list.cursor.value ?? items[0]?.id ?? "") ?? 0;
  const cursorLine = Math.floor(cursorAt / columns);
  if (items.length && !lines.includes(cursorLine)) lines.push(cursorLine);
  const line = { height, compact, last, paths, list };
  const heads = top ? 1 : 0;

  return (
    <div ref={box} class={`list ${mode} ${compact ? "compact" : ""}`} role="grid" aria-label={label} aria-multiselectable="true"
      aria-rowcount={list.more.value ? -1 : Math.ceil(items.length / columns) + heads} aria-colcount={grid ? columns : 4} {...focus}
      onClick={(event) => onClick(list, event)}
      onDblClick={(event) => { const id = idAt(event); if (id && !renaming.peek() && !(event.target as Element).closest("[data-check],[data-more]")) openIt(list, id); }}
      onContextMenu={(event) => onContextMenu(props, event, press.touched.current)}
      onKeyDown={(event) => onListKey(event, list, columns, Math.max(1, Math.floor(box.current!.clientHeight / height) - 1))}
      onPointerDown={(event) => { press.start(event); beginLasso(event, box.current!, body.current!, list, shape); }}
      onPointerMove={press.move} onPointerUp={press.end} onPointerCancel={press.end}
      onDragStart={(event) => { press.end(); onDragStart(list, event); }}
      onDragEnter={(event) => { const folder = folderAt(list, event); if (folder) dragOver(event, { folder: folder.id }); }}
      onDragOver={(event) => { const folder = folderAt(list, event); if (folder) dragOver(event, { folder: folder.id }); }}
      onDrop={(event) => { const folder = folderAt(list, event); if (folder) drop(event, { folder: folder.id }); }}>
      {top > 0 && <ListHead last={last} sorting={sorting} />}
      <div ref={body} class="list-body" role="rowgroup" style={{ height: `${Math.ceil(items.length / columns) * height}px` }}>
        {lines.map((at) => grid ? (
          <div key={at} role="row" aria-rowindex={at + 1} class="tiles" style={{ transform: `translateY(${at * height}px)`, gridTemplateColumns: `repeat(${columns}, 1fr)`, height: `${height}px` }}>
            {items.slice(at * columns, (at + 1) * columns).map((file, column) => (
              <Tile key={file.id} file={file} column={column + 1} {...state(list, file, at * columns + column, cursorAt)} list={list} />
            ))}
          </div>
        ) : items[at] && <Row key={items[at].id} file={items[at]} index={at} {...line} {...state(list, items[at], at, cursorAt)} rowIndex={at + 1 + heads} />)}
      </div>
    </div>
  );
}

function state(list: Listing, file: FileDocument, at: number, cursorAt: number) {
  return {
    selected: list.selected.value.has(file.id), focusable: at === cursorAt, editing: renaming.value === file.id,
    over: file.type === "folder" && isOver({ folder: file.id }),
  };
}

function openIt(list: Listing, id: string): void {
  const file = list.get(id);
  if (file && !file.trashedAt) open(file);
  else if (file) showTrashed(file);
}

function showTrashed(file: FileDocument): void {
  void import("./trashed").then(({ askRestore }) => askRestore(file));
}

function beginLasso(event: PointerEvent, box: HTMLElement, body: HTMLElement, list: Listing, shape: Shape): void {
  if (event.pointerType !== "mouse" || event.button !== 0 || event.offsetX > box.clientWidth && event.target === box) return;
  const target = event.target as Element;
  if (target.closest("[draggable=true], button, input, [data-check], .list-head")) return;
  const id = idAt(event);
  if (id && (event.ctrlKey || event.shiftKey || event.metaKey)) return;
  startLasso(event, box, body, list, shape);
}
