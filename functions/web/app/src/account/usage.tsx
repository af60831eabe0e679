import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api, type Usage } from "../api";
import { formatSize } from "../format";
import { t } from "../i18n";
import { route } from "../router";
import { uploadsRunning } from "../uploads/start";

const usage = signal<Usage | null>(null);
let readAt = 0;
/** A change of the screen reads the usage again, but not more often than this, in milliseconds. */
const often = 20_000;

/** Reads what the account uses. The bar keeps its last numbers if that fails. */
export async function refreshUsage(): Promise<void> {
  readAt = Date.now();
  usage.value = await api.get("/users/me/usage").catch(() => usage.peek());
}

/** The usage, kept fresh while a component shows it. */
export function useUsage(): Usage | null {
  const running = uploadsRunning.value;
  const shown = JSON.stringify(route.value);
  useEffect(() => { if (!running) void refreshUsage(); }, [running]);
  useEffect(() => { if (Date.now() - readAt > often) void refreshUsage(); }, [shown]);
  return usage.value;
}

export function usedText({ bytes, quotaBytes }: Usage): string {
  const used = formatSize(bytes);
  return quotaBytes == null ? t("account.used", { used }) : t("account.usedOf", { used, quota: formatSize(quotaBytes) });
}

/** How full the storage is, as a bar. */
export function UsageMeter({ usage: { bytes, quotaBytes } }: { usage: Usage }) {
  if (quotaBytes == null) return null;
  const part = quotaBytes === 0 ? 1 : Math.min(1, bytes / quotaBytes);
  return (
    <div class={`usage-meter ${part >= 0.9 ? "high" : ""}`} role="meter" aria-label={t("account.storage")} aria-valuemin={0} aria-valuemax={100}
      aria-valuenow={Math.round(100 * part)} aria-valuetext={usedText({ bytes, quotaBytes, files: 0 })}>
      <div style={{ inlineSize: `${100 * part}%` }} />
    </div>
  );
}

/** The usage in the sidebar; it leads to the account. */
export function UsageBar() {
  const now = useUsage();
  if (!now) return null;
  return (
    <div class="usage-bar">
      <UsageMeter usage={now} />
      <a href="#/account">{usedText(now)}</a>
    </div>
  );
}
