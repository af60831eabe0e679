import { useEffect, useRef, useState } from "preact/hooks";
import { LoadProblem } from "../account/form";
import type { FileDocument } from "../api";
import { errorText, showError } from "../errors";
import { kindIcon, kindOf } from "../files/kinds";
import { t } from "../i18n";
import { address, openView } from "../router";
import { Empty, Icon, type IconName, openMenu, Skeleton, toast } from "../ui";
import { CopyButton } from "./copy";
import { askAndDelete, openEdit } from "./edit";
import { factsOf } from "./facts";
import { documents, forgetDocuments, type Kind, type Link, links, loadDocuments, loadLinks } from "./links";
import { Picture } from "./picture";
import { openFileRequest } from "./request";
import { StateBadge } from "./list";

type Filter = "all" | Kind;
const filters: [Filter, () => string][] = [
  ["all", () => t("sharing.filterAll")], ["download", () => t("sharing.filterDownload")], ["upload", () => t("sharing.filterUpload")],
];
const page = 50;

/** All links and file requests. */
export function LinksScreen() {
  const [filter, setFilter] = useState<Filter>("all");
  const [shown, setShown] = useState(page);
  const [ready, setReady] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const load = () => {
    setProblem(null);
    forgetDocuments();
    void loadLinks().then(() => setReady(true), (error) => setProblem(errorText(error)));
  };
  useEffect(load, []);
  const chosen = links.value.filter(({ kind }) => filter === "all" || kind === filter);
  const visible = chosen.slice(0, shown);
  const ids = visible.map(({ fileId }) => fileId);
  useEffect(() => { if (ready) void loadDocuments(ids); }, [ready, ids.join()]);

  return (
    <div class="links-screen">
      <header class="links-head">
        <h1 tabIndex={-1}>{t("nav.links")}</h1>
        <button type="button" class="button" onClick={() => openFileRequest(null)}><Icon name="request" />{t("sharing.requestNew")}</button>
      </header>
      <Filters filter={filter} choose={(next) => { setFilter(next); setShown(page); }} />
      {problem && <LoadProblem text={problem} retry={load} />}
      {!ready && !problem && <Skeleton rows={5} />}
      {ready && chosen.length === 0 && <Nothing filter={filter} />}
      {ready && chosen.length > 0 && <>
        <p class="muted" role="status">{t("sharing.count", { count: chosen.length })}</p>
        <ul class="card things links-list">{visible.map((link) => <Row key={link.id} link={link} file={documents.value.get(link.fileId)} />)}</ul>
        {chosen.length > shown && <button type="button" class="button" onClick={() => setShown(shown + page)}>{t("sharing.showMore")}</button>}
      </>}
    </div>
  );
}

function Filters({ filter, choose }: { filter: Filter; choose: (filter: Filter) => void }) {
  return (
    <fieldset class="links-filter">
      <legend class="hidden">{t("sharing.filter")}</legend>
      <div class="segments">
        {filters.map(([name, label]) => (
          <label key={name}><input type="radio" name="links-filter" checked={filter === name} onChange={() => choose(name)} /><span>{label()}</span></label>
        ))}
      </div>
    </fieldset>
  );
}

function Nothing({ filter }: { filter: Filter }) {
  const title = filter === "all" ? "sharing.emptyTitle" : filter === "download" ? "sharing.emptyDownload" : "sharing.emptyUpload";
  return (
    <Empty picture={<Picture />} title={t(title)} text={t("sharing.emptyText")}>
      <a class="button" href={address({ screen: "files", folder: null })}><Icon name="folder" />{t("sharing.toFiles")}</a>
    </Empty>
  );
}

interface RowProps { link: Link; file: FileDocument | null | undefined }

function Row({ link, file }: RowProps) {
  const icon: IconName = link.kind === "upload" ? "request" : file ? kindIcon[kindOf(file)] : "link";
  const name = file ? file.name : t(`sharing.${link.kind === "upload" ? "kindUpload" : "kindDownload"}`);
  const item = useRef<HTMLLIElement>(null);
  const remove = async () => {
    // The focus goes to the next row, or to the title, when this row is gone.
    const { nextElementSibling, previousElementSibling } = item.current!;
    const heading = document.querySelector<HTMLElement>(".links-head h1");
    if (!(await askAndDelete(link))) return;
    ((nextElementSibling ?? previousElementSibling)?.querySelector<HTMLElement>("[aria-haspopup]") ?? heading)?.focus();
    toast(t(link.kind === "upload" ? "sharing.requestDeleted" : "sharing.deleted"));
  };
  const change = async () => {
    if (await openEdit(link)) toast(t(link.kind === "upload" ? "sharing.requestSaved" : "sharing.changed"));
  };
  const menu = (at: Element) => openMenu(at, [
    { label: t("sharing.open"), icon: "eye", run: () => void window.open(link.url, "_blank", "noreferrer") },
    { label: t("sharing.change"), icon: "edit", run: () => void change() },
    "line",
    { label: t("sharing.delete"), icon: "trash", danger: true, run: () => void remove().catch((error) => showError(error)) },
  ]);
  return (
    <li class="thing link-row" ref={item}>
      <span class="link-icon"><Icon name={icon} size={24} /></span>
      <div class="thing-main">
        <p class="thing-name"><FileName link={link} file={file} /> {file !== null && <StateBadge link={link} />}</p>
        <p class="muted">{[t(link.kind === "upload" ? "sharing.kindUpload" : "sharing.kindDownload"), ...factsOf(link)].join(" · ")}</p>
      </div>
      <div class="flow link-actions">
        <CopyButton text={link.url} label={t("sharing.copy")} done={t("sharing.linkCopied")} />
        <button type="button" class="icon-button" aria-haspopup="menu" aria-label={t("sharing.more", { name })}
          title={t("sharing.actions")} onClick={(event) => menu(event.currentTarget)}><Icon name="more" /></button>
      </div>
    </li>
  );
}

/** The name of the document, which leads to it. */
function FileName({ link, file }: RowProps) {
  if (file === undefined) return <span class="name-loading" aria-hidden="true" />;
  if (file === null) return <em class="muted">{t("sharing.gone")}</em>;
  if (link.kind === "upload" || file.type === "folder") return <a dir="auto" href={address({ screen: "files", folder: file.id })}>{file.name}</a>;
  return <a dir="auto" href={`#/view/${file.id}`} onClick={(event) => { event.preventDefault(); openView(file.id); }}>{file.name}</a>;
}
