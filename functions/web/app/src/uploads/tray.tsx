import "./texts";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { connection } from "../api";
import { formatNumber, formatSize } from "../format";
import { locale, t } from "../i18n";
import { sessionLost } from "../session";
import { addStyles, confirm, Icon, toast } from "../ui";
import type { Entry } from "./model";
import * as queue from "./queue";
import * as shown from "./view";
import { Row } from "./row";
import { resumeUploads, retryStart, startFailed, trayShown, uploadsRunning } from "./start";
import css from "./tray.lazy.css";

addStyles(css);

/** The height of a row, as in the styles. */
const ROW = 56;
/** Rows outside of the visible part. */
const MARGIN = 4;

/** The uploads: their progress, and what can be done with each. */
export function UploadTray() {
  // On a phone the list would cover the files.
  const isFolded = useSignal(matchMedia("(max-width: 480px)").matches);
  useEffect(resumeUploads, []);
  if (!trayShown.value) return null;
  const view = shown.view.value;
  const { asking, missing, failed } = view.states;
  const attention = asking + missing + failed;
  return (
    <section class="tray" aria-label={t("uploads.title")}>
      <header class="tray-head">
        <div class="tray-titles">
          <h2>{title()}</h2>
          <p>{subtitle()}</p>
        </div>
        <Buttons isFolded={isFolded.value} onFold={() => { isFolded.value = !isFolded.value; }} />
      </header>
      <Progress />
      <p class="hidden" role="status">{attention > 0 ? t("uploads.someOpen", { count: attention }) : uploadsRunning.value ? "" : title()}</p>
      <Notices />
      {!isFolded.value && <Rows />}
    </section>
  );
}

const isOpen = () => {
  const { files, states, isReading } = shown.view.value;
  return isReading || states.done < files;
};

function title(): string {
  const { files, states, isReading } = shown.view.value;
  const attention = states.asking + states.missing + states.failed;
  if (startFailed.value) return t("uploads.notLoaded");
  if (files === 0) return t("uploads.preparing");
  if (sessionLost.value) return t("uploads.signedOut");
  if (shown.isFull.value) return t("uploads.full");
  if (shown.allPaused.value && states.done < files) return t("uploads.allPaused");
  if (uploadsRunning.value && connection.value.state !== "online") return t("uploads.offline");
  if (isReading && states.done === 0) return t("uploads.reading", { count: files });
  if (states.waiting + states.sending + states.paused > 0) return t("uploads.running", { done: states.done, count: files });
  return attention > 0 ? t("uploads.someOpen", { count: attention }) : t("uploads.done", { count: states.done });
}

function subtitle(): string {
  const { bytes, sent, rate } = shown.view.value;
  if (!isOpen()) return formatSize(bytes);
  const parts = [t("uploads.of", { sent: formatSize(sent), size: formatSize(bytes) })];
  if (uploadsRunning.value && connection.value.state === "online" && rate > 1000) parts.push(t("uploads.rate", { size: formatSize(rate) }), t("uploads.left", { time: duration((bytes - sent) / rate) }));
  return parts.join(" · ");
}

function duration(seconds: number): string {
  if (seconds < 60) return t("uploads.lessThanMinute");
  const [value, unit] = seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(locale.value, { style: "unit", unit: unit as string, unitDisplay: "long", maximumFractionDigits: 0 }).format(value as number);
}

function Buttons({ isFolded, onFold }: { isFolded: boolean; onFold: () => void }) {
  const { states } = shown.view.value;
  const canResume = shown.allPaused.value || states.paused > 0;
  const canPause = states.waiting + states.sending > 0;
  const close = async () => {
    const question = { title: t("uploads.cancelTitle"), text: t("uploads.cancelText"), yes: t("uploads.cancelYes"), danger: true };
    if (isOpen() && !(await confirm(question))) return;
    queue.cancelAll();
    document.querySelector<HTMLElement>("#main")?.focus();
  };
  return (
    <div class="tray-buttons">
      {canResume ? <Button icon="play" label={t("uploads.resumeAll")} run={queue.resumeAll} /> : canPause && <Button icon="pause" label={t("uploads.pauseAll")} run={queue.pauseAll} />}
      <button type="button" class={`icon-button tray-fold ${isFolded ? "folded" : ""}`} aria-expanded={!isFolded} aria-label={t("uploads.title")}
        title={t(isFolded ? "uploads.unfold" : "uploads.fold")} onClick={onFold}><Icon name="chevron" /></button>
      <Button icon="close" label={t(isOpen() ? "uploads.cancelAll" : "uploads.close")} run={close} />
    </div>
  );
}

function Button({ icon, label, run }: { icon: "play" | "pause" | "close"; label: string; run: () => void }) {
  return <button type="button" class="icon-button" aria-label={label} title={label} onClick={run}><Icon name={icon} /></button>;
}

function Progress() {
  const { files, bytes, sent, states } = shown.view.value;
  // Small files cost more time than their bytes say.
  const share = files === 0 ? 0 : (sent / (bytes || 1) + states.done / files) / 2;
  const percent = states.done === files && files > 0 ? 100 : Math.min(99, Math.floor(100 * (bytes === 0 ? states.done / Math.max(1, files) : share)));
  return (
    <div class={`tray-progress ${files === 0 ? "unknown" : ""}`} role="progressbar" aria-label={t("uploads.title")} aria-valuemin={0} aria-valuemax={100}
      aria-valuenow={percent} aria-valuetext={t("uploads.percent", { percent: formatNumber(percent) })}>
      <div style={{ inlineSize: `${percent}%` }} />
    </div>
  );
}

function Notices() {
  const { states, isCutOff } = shown.view.value;
  return <>
    {startFailed.value && <Notice text={t("uploads.notLoaded")} label={t("uploads.tryAgain")} run={retryStart} />}
    {shown.isFull.value && <Notice text={t("uploads.fullHint")} label={t("uploads.continue")} run={queue.resumeAll} />}
    {isCutOff && <Notice text={t("uploads.cutOff")} />}
    {states.missing > 0 && <Notice text={t("uploads.missingAll", { count: states.missing })} label={t("uploads.chooseFiles")} run={chooseMissing} />}
  </>;
}

function Notice({ text, label, run }: { text: string; label?: string; run?: () => void }) {
  return <div class="tray-notice"><span>{text}</span>{label && <button type="button" class="link" onClick={run}>{label}</button>}</div>;
}

/** Lets the user choose the files again that this page cannot read. */
export function chooseMissing(): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.onchange = () => {
    const chosen = [...(input.files ?? [])];
    const taken = shown.list().filter((entry) => entry.state === "missing").filter((entry) => chosen.some((file) => queue.replaceMissing(entry, file)));
    if (taken.length === 0) toast(t("uploads.otherFile"), { kind: "error" });
  };
  input.click();
}

/** The visible part of the list: it may have 10,000 rows. */
function Rows() {
  const place = useRef<HTMLUListElement>(null);
  const top = useSignal(0);
  const height = useSignal(ROW * 6);
  shown.view.value;
  const list = shown.list();
  useEffect(() => {
    const observer = new ResizeObserver(([box]) => { height.value = box!.contentRect.height; });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(top.value / ROW) - MARGIN);
  const visible = list.slice(first, first + Math.ceil(height.value / ROW) + 2 * MARGIN);
  return (
    <ul class="tray-list" ref={place} tabIndex={0} aria-label={t("uploads.title")} onScroll={(event) => { top.value = event.currentTarget.scrollTop; }}>
      <li class="tray-space" aria-hidden="true" style={{ blockSize: `${first * ROW}px` }} />
      {visible.map((entry: Entry, index) => <Row key={entry.key} entry={entry} index={first + index} count={list.length} choose={chooseMissing} />)}
      <li class="tray-space" aria-hidden="true" style={{ blockSize: `${Math.max(0, list.length - first - visible.length) * ROW}px` }} />
    </ul>
  );
}
