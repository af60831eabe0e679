import { useEffect, useRef, useState } from "preact/hooks";
import type { FileDocument } from "../api";
import { formatSize } from "../format";
import { t } from "../i18n";
import { Skeleton } from "../ui";
import { useFocus } from "./focus";
import { contentOf } from "./kind";

/** The bytes that are shown of a file. */
const SHOWN = 512_000;
/** The bytes that tell a text from other files. */
const LOOKED_AT = 4096;

/** A text or a program, as text: nothing of it is taken for HTML. */
export function TextFile({ file, onFail }: { file: FileDocument; onFail: () => void }) {
  const [text, setText] = useState<string | null>(null);
  const isCut = (file.size ?? 0) > SHOWN;
  const place = useRef<HTMLPreElement>(null);
  useFocus(place, text !== null);
  useEffect(() => {
    const ended = new AbortController();
    read(file, isCut, ended.signal).then(setText, () => { if (!ended.signal.aborted) onFail(); });
    return () => ended.abort();
  }, []);
  if (text === null) return <div class="viewer-text"><Skeleton rows={12} /></div>;
  return (
    <div class="viewer-text">
      {isCut && <p class="viewer-cut">{t("viewer.cut", { shown: formatSize(SHOWN), size: formatSize(file.size ?? 0) })}</p>}
      <pre ref={place} tabIndex={0} aria-label={file.name} dir="auto">{text}</pre>
    </div>
  );
}

async function read(file: FileDocument, isCut: boolean, signal: AbortSignal): Promise<string> {
  const response = await fetch(contentOf(file), { signal, headers: isCut ? { Range: `bytes=0-${SHOWN - 1}` } : {} });
  if (!response.ok) throw new Error(response.statusText);
  const bytes = new Uint8Array(await response.arrayBuffer()).subarray(0, SHOWN);
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : "utf-8";
  if (encoding === "utf-8" && bytes.subarray(0, LOOKED_AT).includes(0)) throw new Error("not a text");
  return new TextDecoder(encoding).decode(bytes);
}
