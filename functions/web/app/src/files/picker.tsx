import { useEffect, useRef, useState } from "preact/hooks";
import { api, type FileDocument, type PathStep } from "../api";
import { errorText } from "../errors";
import { t } from "../i18n";
import { Dialog, Icon, openDialog, Skeleton } from "../ui";
import { askNewFolder } from "./new-folder";

interface PickOptions {
  title: string;
  text?: string;
  yes: string;
  /** The folder that is shown first. */
  start?: string | null;
  /** Folders that cannot be chosen, with what is in them. */
  without?: ReadonlySet<string>;
}
type Picked = { id: string | null };

function Picker({ title, text, yes, start = null, without, close }: PickOptions & { close: (picked?: Picked) => void }) {
  const [folder, setFolder] = useState<string | null>(start);
  const [path, setPath] = useState<PathStep[]>([]);
  const [folders, setFolders] = useState<FileDocument[] | null>(null);
  const [error, setError] = useState("");
  const rows = useRef<HTMLUListElement>(null);
  useEffect(() => {
    const ended = new AbortController();
    setFolders(null);
    setError("");
    const query = { parentId: folder ?? "0", type: "folder", limit: 1000 };
    const way = folder ? api.get("/files/{id}/path", { path: { id: folder }, signal: ended.signal }) : Promise.resolve([]);
    Promise.all([api.get("/files", { query, signal: ended.signal }), way]).then(([found, steps]) => {
      setFolders(found);
      setPath(steps);
      if (document.activeElement === document.body || !rows.current?.closest("dialog")?.contains(document.activeElement)) rows.current?.querySelector("button")?.focus();
    }, (problem) => { if (!ended.signal.aborted) setError(errorText(problem)); });
    return () => ended.abort();
  }, [folder]);
  const add = async () => {
    const made = await askNewFolder(folder);
    if (made) setFolder(made.id);
  };
  return (
    <Dialog title={title} onClose={() => close()} onSubmit={() => close({ id: folder })} actions={<>
      <button type="button" class="button start" onClick={() => void add()}><Icon name="folderAdd" /> {t("action.newFolder")}</button>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <button class="button primary">{yes}</button>
    </>}>
      {text && <p>{text}</p>}
      <nav class="crumbs small" aria-label={t("files.path")}>
        <button type="button" class="crumb" onClick={() => setFolder(null)}>{t("files.all")}</button>
        {path.map(({ id, name }) => <span key={id}><Icon name="chevron" size={16} /><button type="button" class="crumb" onClick={() => setFolder(id)}><bdi>{name}</bdi></button></span>)}
      </nav>
      {error && <p class="field-error" role="alert">{error}</p>}
      {folders === null && !error && <Skeleton rows={5} />}
      <ul class="picker" ref={rows}>
        {folders?.length === 0 && <li class="picker-none">{t("files.noFolders")}</li>}
        {folders?.map(({ id, name }) => (
          <li key={id}><button type="button" disabled={without?.has(id)} onClick={() => setFolder(id)}>
            <span class="thumb kind-folder"><Icon name="folder" /></span><bdi>{name}</bdi><Icon name="chevron" size={16} />
          </button></li>
        ))}
      </ul>
    </Dialog>
  );
}

/** Lets the user choose a folder. Its id is null for the root; undefined means that the user cancels. */
export function pickFolder(options: PickOptions): Promise<Picked | undefined> {
  return openDialog((close) => <Picker {...options} close={close} />, "wide");
}
