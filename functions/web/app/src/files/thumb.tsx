import { useEffect, useState } from "preact/hooks";
import { thumbHashToDataURL } from "thumbhash";
import { api, type FileDocument } from "../api";
import { Icon } from "../ui";
import { kindIcon, kindOf } from "./kinds";
import { upsert } from "./state";

const previews = new Map<string, string>();

/** The blurred preview of an image as the address of a small picture. */
export function previewOf(hash: string): string {
  let url = previews.get(hash);
  if (!url) {
    url = thumbHashToDataURL(Uint8Array.from(atob(hash), (char) => char.charCodeAt(0)));
    if (previews.size > 2000) previews.clear();
    previews.set(hash, url);
  }
  return url;
}

const contentUrl = (file: FileDocument, size: number) => `/files/${file.id}/data?size=${size}&v=${file.revision}`;

const pauses = [1, 1, 2, 3, 5, 8, 15, 30, 60];
/** The shown images that wait for their thumbnails, each with the number of questions asked. */
const waiting = new Map<string, number>();
let timer: ReturnType<typeof setTimeout> | undefined;

function watch(id: string): () => void {
  waiting.set(id, waiting.get(id) ?? 0);
  timer ??= setTimeout(ask, 1000 * pauses[0]!);
  return () => void waiting.delete(id);
}

async function ask(): Promise<void> {
  const ids = [...waiting.keys()].slice(0, 24);
  for (let at = 0; at < ids.length; at += 6) await Promise.all(ids.slice(at, at + 6).map(askOne));
  timer = undefined;
  const least = Math.min(...waiting.values());
  if (waiting.size) timer = setTimeout(ask, 1000 * pauses[Math.min(least, pauses.length - 1)]!);
}

async function askOne(id: string): Promise<void> {
  const asked = (waiting.get(id) ?? 0) + 1;
  const file = await api.get("/files/{id}", { path: { id } }).catch(() => null);
  if (!waiting.has(id)) return;
  waiting.delete(id);
  if (file?.thumbnails === "due" && asked < pauses.length) waiting.set(id, asked);
  else if (file) upsert(file);
}

interface ThumbProps { file: FileDocument; size: 100 | 250 | 500 }

/** The picture of a document: its thumbnail above its blurred preview, or the icon of its kind. */
export function Thumb(props: ThumbProps) {
  if (props.file.type === "image") return <ImageThumb {...props} />;
  const kind = kindOf(props.file);
  return <span class={`thumb kind-${kind}`}><Icon name={kindIcon[kind]} size={props.size > 100 ? 56 : 22} /></span>;
}

function ImageThumb({ file, size }: ThumbProps) {
  const [broken, setBroken] = useState(0);
  useEffect(() => (file.thumbnails === "due" ? watch(file.id) : undefined), [file.id, file.thumbnails]);
  const ready = file.thumbnails === "ready" && broken !== file.revision;
  return (
    <span class={`thumb kind-image ${ready ? "picture" : ""} ${file.thumbnails === "due" ? "due" : ""}`}>
      {ready && file.thumbhash && <img class="blur" src={previewOf(file.thumbhash)} alt="" />}
      {ready ? <img loading="lazy" decoding="async" draggable={false} src={contentUrl(file, size)} alt="" onError={() => setBroken(file.revision)} />
        : <Icon name="image" size={size > 100 ? 56 : 22} />}
    </span>
  );
}
