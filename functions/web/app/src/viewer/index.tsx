import "./texts";
import { useEffect, useRef, useState } from "preact/hooks";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { openView } from "../router";
import { addStyles, Icon, lazy } from "../ui";
import { Facts } from "./facts";
import { contentOf, picturesOf, shownAs } from "./kind";
import { Media } from "./media";
import { Other } from "./other";
import { Picture } from "./picture";
import { swipes } from "./swipe";
import { TextFile } from "./text";
import { Toolbar } from "./toolbar";
import css from "./viewer.lazy.css";

addStyles(css);

const Pdf = lazy(() => import("./pdf").then((module) => module.Pdf));

export interface ViewerProps { file: FileDocument; siblings: FileDocument[]; onClose: () => void }

/** Shows a file above the page, with the way to the files beside it. */
export function Viewer({ file, siblings, onClose }: ViewerProps) {
  const place = useRef<HTMLDivElement>(null);
  const [hasFacts, setFacts] = useState(false);
  const at = siblings.findIndex(({ id }) => id === file.id);
  const go = (to: FileDocument | undefined) => { if (to) openView(to.id); };
  useModal(place);
  useEffect(() => preload([siblings[at + 1], siblings[at - 1]]), [file.id]);
  const step = (by: number) => go(siblings[at + by]);
  const onKey = (event: KeyboardEvent) => {
    const isHere = event.target === document.body || place.current!.contains(event.target as Node);
    if (event.ctrlKey || event.metaKey || event.altKey || !isHere) return;
    const isMedia = event.target instanceof HTMLMediaElement;
    const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    if (event.key === "Escape") onClose();
    else if (event.key === "i") setFacts(!hasFacts);
    else if (isMedia) return;
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") step(event.key === forward ? 1 : -1);
    else if (event.key === "Home" && shownAs(file) === "picture") go(siblings[0]);
    else if (event.key === "End" && shownAs(file) === "picture") go(siblings.at(-1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
  return (
    <div class="viewer" ref={place} role="dialog" aria-modal="true" aria-label={file.name} tabIndex={-1}>
      <Toolbar file={file} hasFacts={hasFacts} onFacts={() => setFacts(!hasFacts)} onClose={onClose} beforeTrash={() => (siblings.length > 1 ? step(at + 1 < siblings.length ? 1 : -1) : onClose())} />
      <div class="viewer-body">
        <div class="viewer-stage" {...swipes((by) => step(by))}>
          <Content key={`${file.id}/${file.revision}`} file={file} />
          {at > 0 && <Turn kind="previous" label={t("viewer.previous")} run={() => step(-1)} />}
          {at >= 0 && at < siblings.length - 1 && <Turn kind="next" label={t("viewer.next")} run={() => step(1)} />}
        </div>
        {hasFacts && <Facts file={file} onClose={() => setFacts(false)} />}
      </div>
      <p class="hidden" role="status">{siblings.length > 1 ? t("viewer.position", { name: file.name, at: at + 1, count: siblings.length }) : file.name}</p>
    </div>
  );
}

function Turn({ kind, label, run }: { kind: "previous" | "next"; label: string; run: () => void }) {
  return <button type="button" class={`viewer-turn ${kind}`} aria-label={label} title={label} onClick={run}><Icon name={kind} size={24} /></button>;
}

function Content({ file }: { file: FileDocument }) {
  const [hasFailed, setFailed] = useState(false);
  const fail = () => setFailed(true);
  const kind = shownAs(file);
  if (hasFailed || kind === "other") return <Other file={file} hasFailed={hasFailed} />;
  switch (kind) {
    case "picture": return <Picture file={file} onFail={fail} />;
    case "video": case "audio": return <Media file={file} kind={kind} onFail={fail} />;
    case "pdf": return <Pdf file={file} onFail={fail} />;
    default: return <TextFile file={file} onFail={fail} />;
  }
}

/** Takes the focus, and everything beside the viewer out of reach, until the viewer is closed. */
function useModal(place: { current: HTMLElement | null }): void {
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const beside = [...place.current!.parentElement!.children].filter((element) => element !== place.current && !element.matches(".toasts, dialog"));
    for (const element of beside) element.toggleAttribute("inert", true);
    place.current!.focus();
    document.documentElement.classList.add("viewer-open");
    return () => {
      for (const element of beside) element.toggleAttribute("inert", false);
      document.documentElement.classList.remove("viewer-open");
      const row = before?.isConnected && before !== document.body ? before : document.querySelector<HTMLElement>("[role=grid] [tabindex='0'], [role=grid][tabindex='0']");
      row?.focus();
    };
  }, []);
}

/** Pictures above this size are not loaded in advance, but for their thumbnails. */
const AHEAD = 8 << 20;

function preload(files: (FileDocument | undefined)[]): void {
  for (const file of files) {
    if (!file || shownAs(file) !== "picture") continue;
    if (file.thumbnails === "ready") new Image().src = contentOf(file, 500);
    const [best] = picturesOf(file);
    if (best && (file.size ?? 0) <= AHEAD) setTimeout(() => { new Image().src = best; }, 400);
  }
}
