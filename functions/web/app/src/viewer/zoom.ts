const MOST = 16;
const DOUBLE = 2.5;

interface Point { x: number; y: number }

/** Zooms and moves what is in an element, with a wheel, a mouse, fingers and keys. */
export class Zoom {
  private scale = 1;
  private at: Point = { x: 0, y: 0 };
  private readonly fingers = new Map<number, Point>();
  private readonly ended = new AbortController();
  private readonly content: HTMLElement;

  constructor(private readonly place: HTMLElement, private readonly onScale: (scale: number) => void) {
    this.content = place.firstElementChild as HTMLElement;
    const { signal } = this.ended;
    place.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    place.addEventListener("dblclick", (event) => (this.scale > 1 ? this.fit() : this.by(DOUBLE, this.point(event))), { signal });
    place.addEventListener("pointerdown", (event) => this.down(event), { signal });
    place.addEventListener("pointermove", (event) => this.move(event), { signal });
    for (const name of ["pointerup", "pointercancel"] as const) place.addEventListener(name, (event) => this.fingers.delete(event.pointerId), { signal });
    addEventListener("keydown", (event) => this.key(event), { signal });
  }

  end(): void { this.ended.abort(); }

  fit(): void { this.set(1, { x: 0, y: 0 }); }

  /** Zooms by a factor; the point, from the centre, stays where it is. */
  by(factor: number, point: Point = { x: 0, y: 0 }): void {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const grown = scale / this.scale;
    this.set(scale, { x: point.x - (point.x - this.at.x) * grown, y: point.y - (point.y - this.at.y) * grown });
  }

  private set(scale: number, at: Point): void {
    const { clientWidth, clientHeight } = this.place;
    const { width, height } = this.shown();
    // No side of the picture leaves the side of its place, unless all of it is seen.
    const bound = (value: number, size: number, seen: number) => {
      const most = Math.max(0, (size * scale - seen) / 2);
      return Math.min(most, Math.max(-most, value));
    };
    this.at = { x: bound(at.x, width, clientWidth), y: bound(at.y, height, clientHeight) };
    this.content.style.transform = scale === 1 ? "" : `translate(${this.at.x}px, ${this.at.y}px) scale(${scale})`;
    this.place.toggleAttribute("data-zoomed", scale > 1);
    if (scale !== this.scale) this.onScale(scale);
    this.scale = scale;
  }

  /** The size of the picture before it is zoomed. */
  private shown(): { width: number; height: number } {
    const { offsetWidth, offsetHeight } = this.content;
    const picture = this.content.querySelector("img:last-child") as HTMLImageElement | null;
    if (!picture?.naturalWidth) return { width: offsetWidth, height: offsetHeight };
    const factor = Math.min(offsetWidth / picture.naturalWidth, offsetHeight / picture.naturalHeight);
    return { width: picture.naturalWidth * factor, height: picture.naturalHeight * factor };
  }

  private point({ clientX, clientY }: { clientX: number; clientY: number }): Point {
    const box = this.place.getBoundingClientRect();
    return { x: clientX - box.x - box.width / 2, y: clientY - box.y - box.height / 2 };
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.by(Math.exp((-event.deltaY * lines) / (event.ctrlKey ? 100 : 400)), this.point(event));
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.fingers.set(event.pointerId, this.point(event));
    if (this.scale > 1 || this.fingers.size > 1) this.place.setPointerCapture(event.pointerId);
  }

  private move(event: PointerEvent): void {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const now = this.point(event);
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const length = (a: Point, b: Point) => Math.hypot(a.x - b.x, a.y - b.y) || 1;
      this.by(length(now, other) / length(before, other), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (this.scale > 1) this.set(this.scale, { x: this.at.x + now.x - before.x, y: this.at.y + now.y - before.y });
    this.fingers.set(event.pointerId, now);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || (event.target as Element).closest("input, dialog")) return;
    if (event.key === "+" || event.key === "=") this.by(1.5);
    else if (event.key === "-") this.by(1 / 1.5);
    else if (event.key === "0") this.fit();
  }
}
