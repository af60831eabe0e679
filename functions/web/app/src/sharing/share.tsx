import { useEffect, useRef, useState } from "preact/hooks";
import { Problem, SubmitButton, useSubmit } from "../account/form";
import { api, type FileDocument } from "../api";
import { upsert } from "../files/state";
import { t } from "../i18n";
import { Dialog, Icon, openDialog } from "../ui";
import { copyText, CopyButton } from "./copy";
import { changeOf, type Draft, expiryOf } from "./draft";
import { refused, useDraft } from "./edit";
import { LinkFields } from "./fields";
import { createLink, type Kind } from "./links";
import { dayOrMoment } from "./facts";
import { LinksOf } from "./list";

/** Shares a file or a folder: makes links, and shows those that there are. */
export function openShare(file: FileDocument): void {
  void openDialog((close) => <Share file={file} close={close} />, "wide");
}

/** What was made last: whether it is in the clipboard, and the password that nobody can look up later. */
export interface Made { copied: boolean; password: string | null }

/** Makes a link and copies it. The copy begins at once, because browsers allow it only during a click. */
export async function makeLink(fileId: string, draft: Draft, kind: Kind): Promise<Made> {
  const link = createLink({ fileId, kind, ...changeOf(draft, kind) });
  const copied = await copyText(link.then(({ url }) => url));
  await link;
  return { copied, password: draft.password ?? null };
}

/** Says that a link is ready, and offers its password. */
export function Done({ made }: { made: Made | null }) {
  const region = useRef<HTMLDivElement>(null);
  useEffect(() => { if (made) region.current!.scrollIntoView({ block: "nearest" }); }, [made]);
  return (
    <div role="status" ref={region}>
      {made && (
        <div class="problem good">
          <Icon name="check" /><span>{t(made.copied ? "sharing.created" : "sharing.createdNotCopied")}</span>
          {made.password && <CopyButton text={made.password} label={t("sharing.copyPassword")} done={t("sharing.passwordCopied")} />}
        </div>
      )}
    </div>
  );
}

function Share({ file, close }: { file: FileDocument; close: () => void }) {
  const { draft, problems, fields, change, check, reset } = useDraft("download");
  const [made, setMade] = useState<Made | null>(null);
  const [open, setOpen] = useState(false);
  const { busy, problem, submit } = useSubmit(async () => {
    setMade(null);
    if (!check()) return setOpen(true);
    setMade(await makeLink(file.id, draft, "download"));
    reset();
    setOpen(false);
  }, refused);
  const end = expiryOf(draft);
  return (
    <Dialog title={t("sharing.title", { name: file.name })} onClose={close} onSubmit={submit}>
      <div class="stack">
        <SubmitButton class="button primary full" autofocus busy={busy} busyText={t("sharing.creating")}><Icon name="link" />{t("sharing.create")}</SubmitButton>
        {(end || draft.expiry === "never") && (
          <p class="muted">{end ? t("sharing.summaryDate", { date: dayOrMoment(end.toISOString()) }) : t("sharing.summaryNever")}</p>
        )}
        <Done made={made} />
        <Problem>{problem}</Problem>
        <details class="options" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>{t("sharing.options")}</summary>
          <div ref={fields}><LinkFields draft={draft} change={change} problems={problems} kind="download" /></div>
        </details>
        <LinksOf fileId={file.id} kind="download" />
        {file.type !== "folder" && <Publicity file={file} />}
      </div>
    </Dialog>
  );
}

/** Publishes a file, or makes it private again. A folder has no content, so it has no such switch. */
function Publicity({ file }: { file: FileDocument }) {
  const [isPublic, setPublic] = useState(file.isPublic);
  const { busy, problem, submit } = useSubmit(async () => {
    const changed = await api.put(isPublic ? "/files/{id}/unpublish" : "/files/{id}/publish", { path: { id: file.id } });
    setPublic(changed.isPublic);
    upsert(changed);
  }, refused);
  return (
    <section class="publicity">
      <label class="option">
        <input type="checkbox" role="switch" class="switch" checked={isPublic} aria-busy={busy} onChange={(event) => { event.currentTarget.checked = isPublic; submit(); }} />
        <span><strong>{t("sharing.public")}</strong><span class="muted">{t("sharing.publicHint")}</span></span>
      </label>
      {isPublic && <CopyButton text={`${location.origin}/files/${file.id}/data`} label={t("sharing.publicCopy")} done={t("sharing.linkCopied")} />}
      <Problem>{problem}</Problem>
    </section>
  );
}
