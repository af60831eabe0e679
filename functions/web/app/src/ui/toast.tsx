import { type ReadonlySignal, signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { Icon } from "./icons";

export interface ToastOptions {
  action?: { label: string; run: () => void };
  kind?: "info" | "error";
  /** How long it stays, in milliseconds; `Infinity` until it is taken away. Default: 6 s, 10 s with an action or an error. */
  duration?: number;
}
/** A signal changes while it is shown. */
type Text = string | ReadonlySignal<string>;
interface Toast extends ToastOptions { id: number; text: Text }

const toasts = signal<Toast[]>([]);
let last = 0;

const drop = (id: number) => { toasts.value = toasts.value.filter((toast) => toast.id !== id); };

/** Shows a short message. Returns a function that takes it away. */
export function toast(text: Text, options: ToastOptions = {}): () => void {
  const id = ++last;
  const duration = options.duration ?? (options.action || options.kind === "error" ? 10_000 : 6000);
  const staying = toasts.peek().filter((other, at, all) => other.duration === Infinity || at >= all.length - 2);
  toasts.value = [...staying, { ...options, id, text }];
  if (duration !== Infinity) setTimeout(drop, duration, id);
  return () => drop(id);
}

/** The messages, above everything else, also above dialogs. */
export function Toasts() {
  const box = useRef<HTMLDivElement>(null);
  const newest = toasts.value.at(-1)?.id;
  useLayoutEffect(() => {
    const layer = box.current!;
    // A dialog that was opened later would be above.
    if (layer.matches(":popover-open")) layer.hidePopover();
    layer.showPopover();
  }, [newest]);
  return (
    <div ref={box} class="toasts" role="status" aria-live="polite" popover="manual">
      {toasts.value.map(({ id, text, kind, action }) => (
        <div key={id} class={`toast ${kind ?? ""}`}>
          <span>{text}</span>
          {action && <button class="link" onClick={() => { drop(id); action.run(); }}>{action.label}</button>}
          <button class="icon-button small" aria-label={t("core.dismiss")} onClick={() => drop(id)}><Icon name="close" /></button>
        </div>
      ))}
    </div>
  );
}
