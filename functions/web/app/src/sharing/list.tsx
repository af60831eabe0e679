import { useEffect, useRef, useState } from "preact/hooks";
import { LoadProblem, Problem, useOwnId } from "../account/form";
import { errorText } from "../errors";
import { t } from "../i18n";
import { Icon, Skeleton } from "../ui";
import { CopyButton } from "./copy";
import { askAndDelete, openEdit } from "./edit";
import { factsOf } from "./facts";
import { type Kind, type Link, links, loadLinks, stateOf } from "./links";

/** The state of a link, in one word. */
export function StateBadge({ link }: { link: Link }) {
  const state = stateOf(link);
  return <span class={`badge ${state === "active" ? "good" : "bad"}`}>{t(`sharing.${state}`)}</span>;
}

/** The links of one kind to one document, in a dialog. */
export function LinksOf({ fileId, kind }: { fileId: string; kind: Kind }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [ready, setReady] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const id = useOwnId();
  const load = () => {
    setProblem(null);
    void loadLinks(fileId).then(() => setReady(true), (error) => setProblem(errorText(error)));
  };
  useEffect(load, [fileId]);
  const own = links.value.filter((link) => link.fileId === fileId && link.kind === kind);
  return (
    <section class="links-of" aria-labelledby={id}>
      <h3 id={id} ref={heading} tabIndex={-1}>{t(kind === "download" ? "sharing.existing" : "sharing.existingRequests")}</h3>
      {problem && <LoadProblem text={problem} retry={load} />}
      {!ready && !problem && <Skeleton rows={1} />}
      {ready && own.length === 0 && <p class="muted">{t(kind === "download" ? "sharing.none" : "sharing.noneRequests")}</p>}
      {own.length > 0 && <ul class="things">{own.map((link) => <Item key={link.id} link={link} onDeleted={() => heading.current?.focus()} />)}</ul>}
    </section>
  );
}

function Item({ link, onDeleted }: { link: Link; onDeleted: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const remove = async () => {
    setProblem(null);
    try {
      if (await askAndDelete(link)) onDeleted();
    } catch (error) {
      setProblem(errorText(error));
    }
  };
  return (
    <li class="link-item">
      <span class="field-joined">
        <input type="text" readOnly value={link.url} dir="ltr" aria-label={t("sharing.address")} onFocus={(event) => event.currentTarget.select()} />
        <CopyButton text={link.url} label={t("sharing.copy")} done={t("sharing.linkCopied")} />
      </span>
      <div class="link-facts">
        <p class="muted"><StateBadge link={link} /> {factsOf(link).join(" · ")}</p>
        <a class="icon-button" href={link.url} target="_blank" rel="noreferrer" aria-label={t("sharing.open")} title={t("sharing.open")}><Icon name="eye" /></a>
        <button type="button" class="icon-button" aria-label={t("sharing.change")} title={t("sharing.change")} onClick={() => void openEdit(link)}><Icon name="edit" /></button>
        <button type="button" class="icon-button" aria-label={t("sharing.delete")} title={t("sharing.delete")} onClick={() => void remove()}><Icon name="trash" /></button>
      </div>
      <Problem>{problem}</Problem>
    </li>
  );
}
