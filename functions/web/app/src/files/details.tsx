import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, type FileDocument, type FolderUsage, type PathStep, type Version } from "../api";
import { errorText, showError } from "../errors";
import { formatMoment, formatNumber, formatSize } from "../format";
import { t } from "../i18n";
import { address } from "../router";
import { addStyles, confirm, Icon, toast } from "../ui";
import { showDetails } from "./actions";
import css from "./details.lazy.css";
import { kindOf } from "./kinds";
import { publicUrl } from "./operations";
import { currentFolder, listing, parentOf, upsert } from "./state";
import { Thumb } from "./thumb";

addStyles(css);

const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => <div class="fact"><dt>{name}</dt><dd>{children}</dd></div>;

/** Reads something of a document; again when the document has changed. */
function useRead<T>(file: FileDocument, read: ((signal: AbortSignal) => Promise<T>) | null): T | undefined {
  const [answer, setAnswer] = useState<{ key: string; value: T }>();
  const key = `${file.id}/${file.revision}`;
  useEffect(() => {
    if (!read) return;
    const ended = new AbortController();
    read(ended.signal).then((value) => setAnswer({ key, value }), () => {});
    return () => ended.abort();
  }, [key]);
  return answer?.key === key ? answer.value : undefined;
}

function Where({ file }: { file: FileDocument }) {
  const path = useRead<PathStep[]>(file, file.trashedAt ? null : (signal) => api.get("/files/{id}/path", { path: { id: file.id }, signal }));
  if (!path) return <>{"…"}</>;
  const names = [t("files.all"), ...path.slice(0, -1).map(({ name }) => name)];
  return <a href={address({ screen: "files", folder: parentOf(file) })}><bdi>{names.join(" / ")}</bdi></a>;
}

function Contents({ folder }: { folder: FileDocument }) {
  const usage = useRead<FolderUsage>(folder, (signal) => api.get("/files/{id}/usage", { path: { id: folder.id }, signal }));
  if (!usage) return <>{"…"}</>;
  const text = `${formatSize(usage.bytes)} · ${t("details.files", { count: usage.files })} · ${t("details.folders", { count: usage.folders })}`;
  return <>{usage.complete ? text : t("details.atLeast", { text })}</>;
}

function Facts({ file }: { file: FileDocument }) {
  return (
    <dl>
      <Fact name={t("details.kind")}>{t(`kind.${kindOf(file)}`)}</Fact>
      {file.type === "folder" && !file.trashedAt && <Fact name={t("details.contents")}><Contents folder={file} /></Fact>}
      {file.size !== undefined && <Fact name={t("files.size")}>{formatSize(file.size)}{file.size >= 1000 && <small> ({t("details.bytes", { count: file.size })})</small>}</Fact>}
      {file.width && file.height && <Fact name={t("details.picture")}>{formatNumber(file.width)} × {formatNumber(file.height)}</Fact>}
      {file.takenAt && <Fact name={t("details.taken")}>{formatMoment(file.takenAt)}</Fact>}
      {!file.trashedAt && <Fact name={t("details.where")}><Where file={file} /></Fact>}
      <Fact name={t("files.changed")}>{formatMoment(file.updatedAt ?? file.createdAt)}</Fact>
      <Fact name={t("details.created")}>{formatMoment(file.createdAt)}</Fact>
      {file.expiresAt && <Fact name={t("files.deletedIn")}>{formatMoment(file.expiresAt)}</Fact>}
      {file.type !== "folder" && <Fact name={t("details.access")}>{file.isPublic ? <PublicLink file={file} /> : t("details.private")}</Fact>}
      {file.thumbnailError && <Fact name={t("details.noThumbnail")}>{file.thumbnailError}</Fact>}
    </dl>
  );
}

function PublicLink({ file }: { file: FileDocument }) {
  const copy = () => navigator.clipboard.writeText(publicUrl(file)).then(() => toast(t("details.copied")), () => toast(publicUrl(file)));
  return <>{t("details.public")} <button class="link" onClick={() => void copy()}>{t("details.copyUrl")}</button></>;
}

function Versions({ file }: { file: FileDocument }) {
  const read = useRead<Version[]>(file, (signal) => api.get("/files/{id}/versions", { path: { id: file.id }, signal }));
  const [gone, setGone] = useState<ReadonlySet<string>>(new Set());
  const versions = read?.filter(({ id }) => !gone.has(id)) ?? [];
  if (!versions.length) return null;
  const path = (version: Version) => ({ id: file.id, version: version.id });
  const restore = async (version: Version) => {
    try {
      upsert(await api.put("/files/{id}/versions/{version}/restore", { path: path(version), headers: { "If-Match": `"${file.revision}"` } }));
      toast(t("details.versionRestored", { name: file.name }));
    } catch (error) { showError(error); }
  };
  const remove = async (version: Version) => {
    if (!(await confirm({ title: t("details.versionDeleteTitle"), text: t("files.deleteText"), yes: t("files.deleteYes"), danger: true }))) return;
    try {
      await api.delete("/files/{id}/versions/{version}", { path: path(version) });
      setGone(new Set([...gone, version.id]));
    } catch (error) { toast(errorText(error), { kind: "error" }); }
  };
  return (
    <section class="versions">
      <h3>{t("details.versions")}</h3>
      <ul>{versions.map((version) => {
        const when = formatMoment(version.createdAt);
        return (
          <li key={version.id}>
            <span>{when}<small>{version.size === undefined ? "" : formatSize(version.size)}</small></span>
            <button class="icon-button small" title={t("action.restore")} aria-label={t("details.versionRestore", { when })} onClick={() => void restore(version)}><Icon name="restore" size={18} /></button>
            <a class="icon-button small" title={t("action.download")} aria-label={t("details.versionDownload", { when })} href={`/files/${file.id}/versions/${version.id}/data?download=1`} download={file.name}><Icon name="download" size={18} /></a>
            <button class="icon-button small" title={t("files.deleteYes")} aria-label={t("details.versionDelete", { when })} onClick={() => void remove(version)}><Icon name="trash" size={18} /></button>
          </li>
        );
      })}</ul>
    </section>
  );
}

function One({ file }: { file: FileDocument }) {
  return <>
    <div class="details-picture"><Thumb file={file} size={500} /></div>
    <h2><bdi>{file.name}</bdi></h2>
    <Facts file={file} />
    {file.type !== "folder" && !file.trashedAt && <Versions key={file.id} file={file} />}
  </>;
}

function Many({ files }: { files: FileDocument[] }) {
  const bytes = files.reduce((sum, { size = 0 }) => sum + size, 0);
  return <><h2>{t("files.selected", { count: files.length })}</h2><dl><Fact name={t("files.size")}>{formatSize(bytes)}</Fact></dl></>;
}

/** The panel that says everything about what is selected, or about the folder. */
export function Details() {
  const chosen = listing.value.chosen.value;
  const file = chosen.length === 1 ? chosen[0] : chosen.length ? undefined : currentFolder.value ?? undefined;
  return (
    <aside class="details" aria-label={t("action.details")}>
      <header><span>{t("action.details")}</span><button class="icon-button" aria-label={t("core.close")} onClick={() => showDetails(false)}><Icon name="close" /></button></header>
      {file ? <One file={file} /> : chosen.length ? <Many files={chosen} /> : <p class="muted">{t("details.nothing")}</p>}
    </aside>
  );
}
