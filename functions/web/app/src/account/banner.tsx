import { useEffect, useState } from "preact/hooks";
import { type Connection, connection } from "../api";
import { t } from "../i18n";
import { state } from "../session";
import { Icon } from "../ui";
import { useSecondsUntil } from "./form";

const firstWait = 2000;
const longestWait = 30_000;

/** Asks whether the API and its stores answer; resolves to the milliseconds to wait before the next question, or null if they do. */
async function probe(wait: number): Promise<number | null> {
  const longer = Math.min(2 * wait, longestWait);
  try {
    const response = await fetch("/status", { cache: "no-store" });
    const health = (response.ok ? await response.json() : {}) as { redis?: boolean; db?: boolean };
    return health.redis && health.db ? null : Math.max(longer, 1000 * Number(response.headers.get("Retry-After") ?? 0));
  } catch {
    return longer;
  }
}

/** Tries again and again while the API does not answer. Returns the time of the next try, and a function that tries now. */
function useRecovery(name: Connection["state"]) {
  const [next, setNext] = useState({ at: 0, wait: firstWait });
  const [trying, setTrying] = useState(false);
  const attempt = async () => {
    setTrying(true);
    const wait = await probe(next.wait);
    setTrying(false);
    if (wait === null) connection.value = { state: "online" };
    else setNext({ at: Date.now() + wait, wait });
  };
  useEffect(() => setNext({ at: Date.now() + firstWait, wait: firstWait }), [name]);
  useEffect(() => {
    if (name !== "unavailable" || next.at === 0) return;
    const timer = setTimeout(() => void attempt(), next.at - Date.now());
    return () => clearTimeout(timer);
  }, [name, next.at]);
  return { at: next.at, trying, attempt };
}

/** Forgets that there were too many requests when the time is over. */
function useLimitEnd(now: Connection) {
  const until = now.state === "limited" ? now.until : 0;
  useEffect(() => {
    if (!until) return;
    const timer = setTimeout(() => { if (connection.peek() === now) connection.value = { state: "online" }; }, until - Date.now());
    return () => clearTimeout(timer);
  }, [until]);
}

/** True for three seconds after the connection came back. */
function useBack(name: Connection["state"]): boolean {
  const [before, setBefore] = useState(name);
  const [back, setBack] = useState(false);
  useEffect(() => {
    setBefore(name);
    if (name !== "online" || (before !== "offline" && before !== "unavailable")) return setBack(false);
    setBack(true);
    const timer = setTimeout(() => setBack(false), 3000);
    return () => clearTimeout(timer);
  }, [name]);
  return back;
}

/** What stands at the top while the connection is not as it should be. The region is always there, so that it is announced. */
export function ConnectionBanner() {
  const now = connection.value;
  const { at, trying, attempt } = useRecovery(now.state);
  useLimitEnd(now);
  const back = useBack(now.state);
  const limited = now.state === "limited" && state.value === "signedIn";
  return (
    <div role="status" class="connection">
      {now.state === "offline" && <p class="banner"><Icon name="warning" /><span>{t("account.offline")}</span></p>}
      {now.state === "unavailable" && (
        <p class="banner"><Icon name="warning" /><span>{t("account.unavailable")} <Countdown at={at} trying={trying} /></span>
          <button type="button" class="link" onClick={() => void attempt()}>{t("account.retryNow")}</button></p>
      )}
      {limited && <p class="banner"><Icon name="warning" /><span>{t("account.limited")}</span></p>}
      {back && <p class="banner good"><Icon name="check" /><span>{t("account.backOnline")}</span></p>}
    </div>
  );
}

/** It changes each second, so screen readers do not read it. */
function Countdown({ at, trying }: { at: number; trying: boolean }) {
  const seconds = useSecondsUntil(at);
  return <span aria-hidden="true">{trying || seconds === 0 ? t("account.retrying") : t("account.retrySoon", { count: seconds })}</span>;
}
