import { useRef } from "preact/hooks";
import type { FileDocument } from "../api";
import { Icon } from "../ui";
import { contentOf } from "./kind";

/** Failures in a row after which the file counts as not playable. */
const MOST = 2;

/** A film or a sound. The browser reads the ranges that it needs. */
export function Media({ file, kind, onFail }: { file: FileDocument; kind: "video" | "audio"; onFail: () => void }) {
  const failures = useRef(0);
  const onError = (event: Event) => {
    const media = event.currentTarget as HTMLMediaElement;
    if (++failures.current > MOST || !media.currentTime) return onFail();
    // The address at S3 is good for a minute. A new request gets another.
    const { currentTime, paused } = media;
    media.load();
    media.currentTime = currentTime;
    if (!paused) void media.play().catch(() => {});
  };
  const rest = { src: contentOf(file), controls: true, autoplay: true, preload: "metadata" as const, onError, onPlaying: () => { failures.current = 0; } };
  if (kind === "video") return <video class="viewer-video" playsInline aria-label={file.name} {...rest} />;
  return <div class="viewer-audio"><Icon name="audio" size={72} /><h3><bdi>{file.name}</bdi></h3><audio aria-label={file.name} {...rest} /></div>;
}
