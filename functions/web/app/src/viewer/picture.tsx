import { useEffect, useRef, useState } from "preact/hooks";
import type { FileDocument } from "../api";
import { previewOf } from "../files/thumb";
import { formatNumber } from "../format";
import { t } from "../i18n";
import { contentOf, picturesOf } from "./kind";
import { Zoom } from "./zoom";

/** A picture: its preview, then a thumbnail, then itself. A wheel, two fingers and a double click zoom. */
export function Picture({ file, onFail }: { file: FileDocument; onFail: () => void }) {
  const place = useRef<HTMLDivElement>(null);
  const zoom = useRef<Zoom | undefined>(undefined);
  const [scale, setScale] = useState(1);
  const [tried, setTried] = useState(0);
  const [isLoaded, setLoaded] = useState(false);
  const sources = picturesOf(file);
  const source = sources[tried];
  useEffect(() => { if (!source) onFail(); }, [source]);
  useEffect(() => {
    const made = new Zoom(place.current!, setScale);
    zoom.current = made;
    return () => made.end();
  }, []);
  const box = file.width && file.height ? { maxInlineSize: `${file.width}px`, maxBlockSize: `${file.height}px` } : {};
  const isThumbnail = source?.includes("size=");
  return <>
    <div class="viewer-zoom" ref={place}>
      <div class="viewer-picture" style={box}>
        {!isLoaded && file.thumbhash && <img class="viewer-blur" src={previewOf(file.thumbhash)} alt="" style={{ aspectRatio: `${file.width} / ${file.height}` }} />}
        {!isLoaded && file.thumbnails === "ready" && <img src={contentOf(file, 500)} alt="" draggable={false} />}
        {source && <img key={source} class={isLoaded ? "" : "viewer-coming"} src={source} alt={file.name} draggable={false} decoding="async"
          onLoad={() => setLoaded(true)} onError={() => setTried(tried + 1)} />}
      </div>
    </div>
    {isThumbnail && <p class="viewer-note">{t("viewer.thumbnail")}</p>}
    <div class="viewer-scale">
      <Scale sign="−" label={t("viewer.zoomOut")} run={() => zoom.current!.by(1 / 1.5)} />
      <button type="button" class="viewer-percent" title={t("viewer.fit")} onClick={() => zoom.current!.fit()}>{t("viewer.percent", { percent: formatNumber(Math.round(100 * scale)) })}</button>
      <Scale sign="+" label={t("viewer.zoomIn")} run={() => zoom.current!.by(1.5)} />
    </div>
  </>;
}

export function Scale({ sign, label, run }: { sign: string; label: string; run: () => void }) {
  return <button type="button" class="viewer-sign" aria-label={label} title={label} onClick={run}>{sign}</button>;
}
