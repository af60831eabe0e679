import type { Listing } from "./listing";
import type { Layout } from "./virtual";

/** Selects with a rectangle that the mouse draws over the rows. `body` is the element with the rows, `box` scrolls it. */
export function startLasso(event: PointerEvent, box: HTMLElement, body: HTMLElement, list: Listing, { columns, height }: Layout): void {
  const before = event.ctrlKey || event.metaKey || event.shiftKey ? [...list.selected.peek()] : [];
  const frame = document.createElement("div");
  frame.className = "lasso";
  const origin = body.getBoundingClientRect();
  const from = { x: event.clientX - origin.left, y: event.clientY - origin.top };
  let at = { x: event.clientX, y: event.clientY };
  let drawn = false;
  let timer = 0;

  const draw = () => {
    const now = body.getBoundingClientRect();
    const to = { x: at.x - now.left, y: at.y - now.top };
    const left = Math.min(from.x, to.x), top = Math.max(0, Math.min(from.y, to.y));
    const width = Math.abs(to.x - from.x), bottom = Math.min(now.height, Math.max(from.y, to.y));
    if (!drawn && width + Math.abs(to.y - from.y) < 6) return;
    if (!drawn) body.append(frame);
    drawn = true;
    Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${bottom - top}px` });
    list.select([...before, ...inside(list, { left, top, right: left + width, bottom }, now.width, { columns, height })]);
  };
  const scroll = () => {
    const edge = box.getBoundingClientRect();
    const past = at.y < edge.top + 30 ? at.y - edge.top - 30 : at.y > edge.bottom - 30 ? at.y - edge.bottom + 30 : 0;
    if (past && drawn) { box.scrollTop += past / 3; draw(); }
    timer = requestAnimationFrame(scroll);
  };
  const move = (next: PointerEvent) => { at = { x: next.clientX, y: next.clientY }; draw(); };
  const end = () => {
    cancelAnimationFrame(timer);
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    frame.remove();
    if (!drawn && !before.length) list.clear();
    if (!drawn) return;
    // The click that follows must not change the selection.
    const swallow = (click: Event) => click.stopPropagation();
    addEventListener("click", swallow, true);
    setTimeout(() => removeEventListener("click", swallow, true));
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
  timer = requestAnimationFrame(scroll);
}

interface Area { left: number; top: number; right: number; bottom: number }

function inside(list: Listing, area: Area, width: number, { columns, height }: Layout): string[] {
  const rtl = document.documentElement.dir === "rtl";
  const column = (x: number) => Math.floor(((rtl ? width - x : x) / width) * columns);
  const [a, b] = [column(area.left), column(area.right)].sort((x, y) => x - y) as [number, number];
  const ids: string[] = [];
  const items = list.items.peek();
  for (let line = Math.floor(area.top / height); line * height < area.bottom; line++) {
    for (let at = Math.max(0, a); at <= Math.min(columns - 1, b); at++) {
      const file = items[line * columns + at];
      if (file) ids.push(file.id);
    }
  }
  return ids;
}
