import { useState } from "preact/hooks";
import { ApiError } from "../api";
import { Problem, SubmitButton, useFocusOnError, useSubmit } from "../account/form";
import { t } from "../i18n";
import { confirm, Dialog, openDialog } from "../ui";
import { changeOf, type Draft, draftOf, newDraft, type Problems, problemsOf } from "./draft";
import { LinkFields } from "./fields";
import { changeLink, deleteLink, type Kind, type Link } from "./links";

/** The options of a link while they are typed, and what is wrong with them. */
export function useDraft(kind: Kind, link?: Link) {
  const [draft, setDraft] = useState<Draft>(() => (link ? draftOf(link) : newDraft()));
  const [problems, setProblems] = useState<Problems>({});
  const [attempt, setAttempt] = useState(0);
  const fields = useFocusOnError(attempt);
  return {
    draft, problems, fields,
    change: (part: Partial<Draft>) => setDraft((before) => ({ ...before, ...part })),
    reset: () => { setDraft(newDraft()); setProblems({}); },
    /** Shows what is wrong; answers whether nothing is. */
    check: () => {
      const found = problemsOf(draft, kind);
      setProblems(found);
      setAttempt((before) => before + 1);
      return Object.keys(found).length === 0;
    },
  };
}

/** What an error of `POST` and `PATCH /links` means, if it is one of them. */
export function refused(error: unknown): string | null {
  if (!(error instanceof ApiError)) return null;
  if (error.status === 409) return t("sharing.errorMany");
  return error.status === 404 ? t("sharing.errorGone") : null;
}

/** Changes the options of a link. Answers whether they are changed. */
export async function openEdit(link: Link): Promise<boolean> {
  return (await openDialog<true>((close) => <Edit link={link} close={close} />)) === true;
}

function Edit({ link, close }: { link: Link; close: (changed?: true) => void }) {
  const { draft, problems, fields, change, check } = useDraft(link.kind, link);
  const { busy, problem, submit } = useSubmit(async () => {
    if (!check()) return;
    await changeLink(link.id, changeOf(draft, link.kind));
    close(true);
  }, refused);
  return (
    <Dialog title={t(link.kind === "download" ? "sharing.changeLink" : "sharing.changeRequest")} onClose={() => close()} onSubmit={submit} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <SubmitButton class="button primary" busy={busy}>{t("sharing.save")}</SubmitButton>
    </>}>
      <div ref={fields}><LinkFields draft={draft} change={change} problems={problems} kind={link.kind} link={link} /></div>
      <Problem>{problem}</Problem>
    </Dialog>
  );
}

/** Asks, and deletes a link. Answers whether it is deleted. Throws what the API answers. */
export async function askAndDelete({ id, kind }: Link): Promise<boolean> {
  const isLink = kind === "download";
  const agreed = await confirm({
    title: t(isLink ? "sharing.deleteTitle" : "sharing.deleteRequestTitle"),
    text: t(isLink ? "sharing.deleteText" : "sharing.deleteRequestText"),
    yes: t("sharing.delete"), danger: true,
  });
  if (agreed) await deleteLink(id);
  return agreed;
}
