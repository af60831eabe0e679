import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { errorText } from "../errors";
import { t } from "../i18n";
import { address, route } from "../router";
import { Empty, Icon, lazy, openMenu, Skeleton } from "../ui";
import { createMenu, detailsShown, folderMenu } from "./actions";
import { serveClipboard } from "./clipboard";
import { Crumbs } from "./crumbs";
import { dragged, dropTarget, filesOver, overFolder, serveDrag } from "./drag";
import { targets } from "./keyboard";
import { FileList } from "./list";
import { emptyTrash } from "./operations";
import { EmptyFolder, EmptySearch, EmptyTrash } from "./pictures";
import { crumbs, folderName, listing, missing, resort } from "./state";
import { Toolbar, ViewControls } from "./toolbar";
import { setView, viewOf } from "./views";

const Details = lazy(() => import("./details").then((module) => module.Details));

interface ContentProps { empty: ComponentChildren; children: ComponentChildren }

/** The list, or what stands in its place while it loads, has failed or is empty. */
function Content({ empty, children }: ContentProps) {
  const list = listing.value;
  const phase = list.phase.value;
  if (phase === "failed") return (
    <Empty title={errorText(list.error)}><button class="button primary" onClick={() => void list.load()}>{t("core.retry")}</button></Empty>
  );
  if (list.items.value.length) return <>{children}</>;
  return phase === "loading" ? <div class="list" aria-busy="true"><span class="hidden" role="status">{t("core.loading")}</span><Skeleton rows={12} /></div> : <>{empty}</>;
}

/** Says where files of the computer go when they are dropped. */
function DropOverlay({ name }: { name: string }) {
  const id = overFolder.value;
  const other = id ? listing.value.get(id)?.name ?? crumbs.value.find((step) => step.id === id)?.name : id === null ? t("files.all") : undefined;
  return (
    <div class="drop-overlay"><div>
      <Icon name="upload" size={32} /><strong>{t("files.dropTitle")}</strong><span>{t("files.dropText", { name: other ?? name })}</span>
    </div></div>
  );
}

function FolderScreen({ folder }: { folder: string | null }) {
  const view = viewOf(folder);
  const name = folderName.value;
  if (missing.value) return (
    <section class="files">
      <h1 class="hidden">{t("files.missing")}</h1>
      <Empty picture={<EmptySearch />} title={t("files.missing")} text={t("files.missingText")}><a class="button primary" href={address({ screen: "files", folder: null })}>{t("files.all")}</a></Empty>
    </section>
  );
  return (
    <section class="files" {...(dragged.value ? {} : dropTarget({ folder }))}>
      <div class="bar"><Crumbs /><ViewControls folder={folder} onSort={resort} /></div>
      <Toolbar />
      <Content empty={
        <div class="fill" onContextMenu={(event) => { event.preventDefault(); openMenu({ x: event.clientX, y: event.clientY }, folderMenu()); }}>
          <Empty picture={<EmptyFolder />} title={t("files.empty")} text={t("files.emptyText")}>
            <button class="button primary" aria-haspopup="menu" onClick={(event) => openMenu(event.currentTarget, createMenu())}><Icon name="plus" /> {t("files.add")}</button>
          </Empty>
        </div>
      }>
        <FileList list={listing.value} mode={view.mode} label={name} menu={folderMenu}
          sorting={{ sort: view.sort, order: view.order, set: (sort, order) => { setView(folder, { sort, order }); resort(); } }} />
      </Content>
      {filesOver.value && <DropOverlay name={name} />}
    </section>
  );
}

function SearchScreen({ query }: { query: string }) {
  return (
    <section class="files">
      <div class="bar"><h1>{query.trim() ? t("search.title", { query: query.trim() }) : t("search.label")}</h1><ViewControls folder="search" /></div>
      <Toolbar />
      <Content empty={<Empty picture={<EmptySearch />} title={t(query.trim() ? "search.empty" : "search.start")} text={t("search.emptyText")} />}>
        <FileList list={listing.value} mode={viewOf("search").mode} label={t("search.label")} paths />
      </Content>
    </section>
  );
}

function TrashScreen() {
  const list = listing.value;
  return (
    <section class="files">
      <div class="bar"><h1>{t("trash.title")}</h1>
        {list.items.value.length > 0 && <button class="button danger-text" onClick={() => void emptyTrash()}><Icon name="trash" /> {t("trash.empty")}</button>}
      </div>
      <Toolbar />
      <Content empty={<Empty picture={<EmptyTrash />} title={t("trash.nothing")} text={t("trash.nothingText")} />}>
        <FileList list={list} mode="list" label={t("trash.title")} last="deleted" />
      </Content>
    </section>
  );
}

/** The folder, the results of the search or the trash, with the panel of details. */
export function FilesScreen() {
  const to = route.value;
  // Where the details cover the list, they must not cover the next one.
  useEffect(() => { if (matchMedia("(max-width: 960px)").matches) detailsShown.value = false; }, [to]);
  useEffect(() => {
    const ends = [
      serveDrag(),
      serveClipboard(() => (route.peek().screen === "trash" ? [] : targets(listing.peek())), () => {
        const now = route.peek();
        return now.screen === "files" ? now.folder : undefined;
      }),
    ];
    return () => ends.forEach((end) => end());
  }, []);
  return (
    <div class="with-details">
      {to.screen === "files" && <FolderScreen folder={to.folder} />}
      {to.screen === "search" && <SearchScreen query={to.query} />}
      {to.screen === "trash" && <TrashScreen />}
      {detailsShown.value && <Details />}
    </div>
  );
}

