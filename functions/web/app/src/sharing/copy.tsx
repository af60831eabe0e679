import { useEffect, useState } from "preact/hooks";
import { addEnglish, t } from "../i18n";
import english from "../i18n/en/sharing";
import { Icon, toast } from "../ui";

addEnglish(english);

/** Copies a text that may still be on its way. Answers whether that was possible. */
export async function copyText(text: string | Promise<string>): Promise<boolean> {
  try {
    if (typeof text === "string") await navigator.clipboard.writeText(text);
    else await navigator.clipboard.write([new ClipboardItem({ "text/plain": text.then((ready) => new Blob([ready], { type: "text/plain" })) })]);
    return true;
  } catch {
    return false;
  }
}

interface CopyProps { text: string; label: string; done: string; icon?: boolean }

/** Copies a text, and says so on itself: a message of the page would lie below an open dialog. */
export function CopyButton({ text, label, done, icon = true }: CopyProps) {
  const [copied, setCopied] = useState(0);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(0), 2500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    if (await copyText(text)) setCopied(Date.now());
    else toast(t("sharing.copyFailed"), { kind: "error" });
  };
  return <>
    <button type="button" class="button" onClick={() => void copy()}>
      {icon && <Icon name={copied ? "check" : "copy"} />}{copied ? t("sharing.copied") : label}
    </button>
    <span role="status" class="hidden">{copied ? done : ""}</span>
  </>;
}
