import { signal } from "@preact/signals";
import { t } from "../i18n";
import { Icon } from "./icons";

export interface ToastOptions {
  action?: { label: string; run: () => void };
  kind?: "info" | "error";
  /** How long it stays, in milliseconds. Default: 6 s, 10 s with an action or an error. */
  duration?: number;
}
interface Toast extends ToastOptions { id: number; text: string }

const toasts = signal<Toast[]>([]);
let last = 0;

const drop = (id: number) => { toasts.value = toasts.value.filter((toast) => toast.id !== id); };

/** Shows a short message. Returns a function that takes it away. */
export function toast(text: string, options: ToastOptions = {}): () => void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-2), { ...options, id, text }];
  setTimeout(drop, options.duration ?? (options.action || options.kind === "error" ? 10_000 : 6000), id);
  return () => drop(id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
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
