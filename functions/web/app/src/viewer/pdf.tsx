import { useEffect, useRef, useState } from "preact/hooks";
import { getDocument, type PDFDocumentProxy, PDFDataRangeTransport, type PDFPageProxy, PDFWorker, type RenderTask, TextLayer, VerbosityLevel } from "pdfjs-dist/legacy/build/pdf.mjs";
import workerUrl from "worker:pdfjs-dist/legacy/build/pdf.worker.min.mjs";
import type { FileDocument } from "../api";
import { t } from "../i18n";
import { addStyles } from "../ui";
import { useFocus } from "./focus";
import { contentOf } from "./kind";
import css from "./pdf.lazy.css";
import { Scale } from "./picture";

addStyles(css);

/** A larger document is read in ranges of this size, where pages need them. */
const RANGE = 1 << 20;
/** Most pixels of one page, as a canvas may have no more on a phone. */
const PIXELS = 16 << 20;
const ZOOMS = [0.5, 0.75, 1, 1.5, 2, 3];

interface Policy { createScriptURL(url: string): string }
declare const trustedTypes: { createPolicy(name: string, rules: Policy): Policy } | undefined;

const rules = { createScriptURL: () => workerUrl };
/** The page allows this one script address only. */
const policy = typeof trustedTypes === "undefined" ? rules : trustedTypes.createPolicy("pdf-worker", rules);

class Ranges extends PDFDataRangeTransport {
  private readonly ended = new AbortController();
  constructor(private readonly file: FileDocument, private readonly onFail: () => void) {
    super(file.size!, null);
  }
  override requestDataRange(begin: number, end: number): void {
    readRange(this.file, begin, end, this.ended.signal).then((bytes) => this.onDataRange(begin, bytes), () => {
      if (!this.ended.signal.aborted) this.onFail();
    });
  }
  override abort(): void { this.ended.abort(); }
}

async function readRange(file: FileDocument, begin: number, end: number, signal: AbortSignal): Promise<Uint8Array> {
  const response = await fetch(contentOf(file), { headers: { Range: `bytes=${begin}-${end - 1}` }, signal });
  if (!response.ok) throw new Error(response.statusText);
  return new Uint8Array(await response.arrayBuffer());
}

/** A PDF, page by page as they come into view. Scripts in it are not run. */
export function Pdf({ file, onFail }: { file: FileDocument; onFail: () => void }) {
  const [pdf, setPdf] = useState<PDFDocumentProxy | null>(null);
  const [first, setFirst] = useState<PDFPageProxy | null>(null);
  const [zoom, setZoom] = useState(ZOOMS.indexOf(1));
  const [page, setPage] = useState(1);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const port = new Worker(policy.createScriptURL(workerUrl), { type: "module" });
    // Its types say that a port is null.
    const worker = new PDFWorker({ port: port as never });
    const range = new Ranges(file, onFail);
    const task = getDocument({ worker, range, rangeChunkSize: RANGE, disableAutoFetch: true, disableStream: true, enableXfa: false, useWasm: false, verbosity: VerbosityLevel.ERRORS });
    task.onPassword = () => { void task.destroy(); onFail(); };
    task.promise.then(async (opened: PDFDocumentProxy) => { setFirst(await opened.getPage(1)); setPdf(opened); }).catch(onFail);
    return () => {
      range.abort();
      void task.destroy().finally(() => { worker.destroy(); port.terminate(); });
    };
  }, []);
  useFocus(place, first !== null && pdf !== null);
  if (!pdf || !first) return <p class="viewer-note">{t("viewer.loading")}</p>;
  const size = first.getViewport({ scale: 1 });
  const width = Math.min(960, innerWidth - 32) * ZOOMS[zoom]!;
  const onScroll = () => {
    const pages = [...place.current!.children] as HTMLElement[];
    const middle = place.current!.scrollTop + place.current!.clientHeight / 2;
    setPage(Math.max(1, pages.filter((one) => one.offsetTop <= middle).length));
  };
  return <>
    <div class="pdf" ref={place} tabIndex={0} role="group" aria-label={file.name} onScroll={onScroll}>
      {Array.from({ length: pdf.numPages }, (_, index) => <Page key={index} pdf={pdf} number={index + 1} width={width} ratio={size.width / size.height} count={pdf.numPages} />)}
    </div>
    <div class="viewer-scale">
      <Scale sign="−" label={t("viewer.zoomOut")} run={() => setZoom(Math.max(0, zoom - 1))} />
      <span class="viewer-percent">{t("viewer.page", { page, count: pdf.numPages })}</span>
      <Scale sign="+" label={t("viewer.zoomIn")} run={() => setZoom(Math.min(ZOOMS.length - 1, zoom + 1))} />
    </div>
  </>;
}

interface PageProps { pdf: PDFDocumentProxy; number: number; width: number; ratio: number; count: number }

/** A page. It is drawn while it is near the visible part, and forgotten when it is far. */
function Page({ pdf, number, width, ratio, count }: PageProps) {
  const place = useRef<HTMLDivElement>(null);
  const [isNear, setNear] = useState(false);
  const [shape, setShape] = useState(ratio);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => setNear(entry!.isIntersecting), { root: place.current!.parentElement, rootMargin: "100% 0px" });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!isNear) return;
    const drawing = draw(pdf, number, width, place.current!, setShape);
    return () => void drawing.then((end) => end());
  }, [isNear, width]);
  return <div class="pdf-page" ref={place} role="region" aria-label={t("viewer.page", { page: number, count })} style={{ inlineSize: `${width}px`, aspectRatio: String(shape) }} />;
}

/** Draws a page with its text, which can be marked and read aloud. Resolves to a function that takes it away. */
async function draw(pdf: PDFDocumentProxy, number: number, width: number, place: HTMLElement, onShape: (ratio: number) => void): Promise<() => void> {
  const page = await pdf.getPage(number);
  const unscaled = page.getViewport({ scale: 1 });
  onShape(unscaled.width / unscaled.height);
  const viewport = page.getViewport({ scale: width / unscaled.width });
  const sharp = Math.min(devicePixelRatio, 2, Math.sqrt(PIXELS / (viewport.width * viewport.height)));
  const canvas = document.createElement("canvas");
  // Else a page from right to left would turn the glyphs around.
  canvas.dir = "ltr";
  canvas.width = Math.round(viewport.width * sharp);
  canvas.height = Math.round(viewport.height * sharp);
  place.replaceChildren(canvas);
  const task: RenderTask = page.render({ canvas, viewport, transform: [sharp, 0, 0, sharp, 0, 0] });
  const texts = document.createElement("div");
  texts.className = "pdf-texts";
  texts.style.setProperty("--total-scale-factor", String(viewport.scale));
  const layer = new TextLayer({ textContentSource: page.streamTextContent(), container: texts, viewport });
  place.append(texts);
  const isDrawn = task.promise.then(() => layer.render());
  isDrawn.catch(() => {});
  return () => {
    task.cancel();
    layer.cancel();
    place.replaceChildren();
    canvas.width = canvas.height = 0;
    page.cleanup();
  };
}
