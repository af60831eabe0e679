import type { RefObject } from "preact";
import { useCallback, useLayoutEffect, useState } from "preact/hooks";

export interface Layout { columns: number; height: number }
export interface Shape extends Layout { compact: boolean }
interface Range { first: number; last: number }

/** How much above and below what is seen is there before it is scrolled to, in pixels. */
const beyond = 350;
/** The range changes in steps of about so many pixels, so that most scrolling renders nothing. */
const step = 180;

function visible(box: HTMLElement, height: number, lines: number): Range {
  const by = Math.max(1, Math.round(step / height));
  const first = Math.floor((box.scrollTop - beyond) / height / by) * by;
  const last = Math.ceil((box.scrollTop + box.clientHeight + beyond) / height / by) * by;
  return { first: Math.max(0, first), last: Math.min(lines, last) };
}

/** How many columns and which height of a line suit the width of a box. */
export function useShape(box: RefObject<HTMLElement | null>, shape: (width: number) => Shape, key: string): Shape {
  const [value, setValue] = useState(() => shape(innerWidth));
  useLayoutEffect(() => {
    const measure = () => {
      const next = shape(box.current!.clientWidth);
      setValue((now) => (now.columns === next.columns && now.height === next.height && now.compact === next.compact ? now : next));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    measure();
    return () => observer.disconnect();
  }, [key]);
  return value;
}

/** The lines of a long list that are to be in the page: those that are seen and a few beyond. */
export function useVirtual(box: RefObject<HTMLElement | null>, count: number, { columns, height }: Layout): Range {
  const lines = Math.ceil(count / columns);
  const [range, setRange] = useState<Range>({ first: 0, last: Math.min(lines, 40) });
  const update = useCallback(() => {
    const next = visible(box.current!, height, lines);
    setRange((now) => (now.first === next.first && now.last === next.last ? now : next));
  }, [height, lines]);
  useLayoutEffect(() => {
    const element = box.current!;
    const observer = new ResizeObserver(update);
    observer.observe(element);
    element.addEventListener("scroll", update, { passive: true });
    update();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", update);
    };
  }, [update]);
  return { first: Math.min(range.first, lines), last: Math.min(range.last, lines) };
}

/** Scrolls so far that a line is seen. `top` is the height of what covers the box at its top. */
export function reveal(box: HTMLElement, line: number, height: number, top: number): void {
  const start = line * height;
  if (start < box.scrollTop) box.scrollTop = start;
  else if (start + height + top > box.scrollTop + box.clientHeight) box.scrollTop = start + height + top - box.clientHeight;
}
