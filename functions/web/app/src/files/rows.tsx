import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { FileDocument, FoundFile } from "../api";
import { formatDate, formatMoment, formatRelative, formatSize } from "../format";
import { t } from "../i18n";
import { Icon } from "../ui";
import { clipboard } from "./clipboard";
import { renameTo } from "./operations";
import type { Listing } from "./listing";
import { changedAt, renaming } from "./state";
import { Thumb } from "./thumb";
import type { Order, Sort } from "./views";

export interface HeadProps {
  last: "changed" | "deleted";
  sorting: { sort: Sort; order: Order; set: (sort: Sort, order: Order) => void } | undefined;
}

export function ListHead({ last, sorting }: HeadProps) {
  const head = (sort: Sort, label: string, index: number) => {
    const active = sorting?.sort === sort;
    const toggle = () => sorting?.set(sort, active && sorting.order === "asc" ? "desc" : active ? "asc" : sort === "name" ? "asc" : "desc");
    return (
      <span role="columnheader" class={`cell ${sort}`} aria-colindex={index} aria-sort={active ? (sorting.order === "asc" ? "ascending" : "descending") : undefined}>
        {sorting ? <button onClick={toggle}>{label}{active && <Icon name={sorting.order === "asc" ? "up" : "down"} size={14} />}</button> : <span>{label}</span>}
      </span>
    );
  };
  return (
    <div class="list-head" role="row" aria-rowindex={1}>
      {head("name", t("files.name"), 1)}
      {head("size", t("files.size"), 2)}
      {head("date", t(last === "changed" ? "files.changed" : "files.deletedIn"), 3)}
      <span role="columnheader" class="cell more" aria-colindex={4}><span class="hidden">{t("core.more")}</span></span>
    </div>
  );
}

interface ItemProps { file: FileDocument; list: Listing; selected: boolean; focusable: boolean; editing: boolean; over: boolean }
interface RowProps extends ItemProps { index: number; rowIndex: number; height: number; compact: boolean; last: "changed" | "deleted"; paths: boolean }

// A component that reads signals, as these do, renders again only if one of them or a property changes.

export function Row({ file, index, rowIndex, height, selected, focusable, editing, over, compact, last, paths }: RowProps) {
  const size = file.type === "folder" || file.size === undefined ? "" : formatSize(file.size);
  const time = last === "deleted" ? (file.expiresAt ? formatRelative(file.expiresAt) : "") : formatDate(changedAt(file));
  const under = paths ? pathOf(file as FoundFile) : compact ? [size, time].filter(Boolean).join(" · ") : "";
  return (
    <div role="row" data-id={file.id} class={classes("file-row", file, selected, over)} aria-rowindex={rowIndex} aria-selected={selected} draggable={selected && !editing}
      tabIndex={focusable ? 0 : -1} style={{ transform: `translateY(${index * height}px)`, height: `${height}px` }}>
      <span role="gridcell" class="cell name" aria-colindex={1}>
        <span class="row-picture" data-check draggable><Thumb file={file} size={100} /></span>
        {editing ? <NameField file={file} /> : (
          <span class="names" draggable><Name file={file} />{under && <small>{paths ? <bdi>{under}</bdi> : under}</small>}</span>
        )}
      </span>
      {!compact && <span role="gridcell" class="cell size" aria-colindex={2}>{size}</span>}
      {!compact && <span role="gridcell" class="cell date" aria-colindex={3} title={formatMoment(changedAt(file))}>{time}</span>}
      <More file={file} />
    </div>
  );
}

export function Tile({ file, column, selected, focusable, editing, over }: ItemProps & { column: number }) {
  return (
    <div role="gridcell" data-id={file.id} class={classes("tile", file, selected, over)} aria-colindex={column} aria-selected={selected} draggable={!editing} tabIndex={focusable ? 0 : -1}>
      <span class="tile-picture"><Thumb file={file} size={250} /><span class="tick" data-check /></span>
      <span class="tile-caption">
        {editing ? <NameField file={file} /> : <Name file={file} />}
        <MoreButton file={file} />
      </span>
    </div>
  );
}

const classes = (base: string, file: FileDocument, selected: boolean, over: boolean) =>
  `${base}${selected ? " selected" : ""}${over ? " over" : ""}${clipboard.cut.value.has(file.id) ? " cut" : ""}`;

const pathOf = ({ path }: FoundFile) => [t("files.all"), ...path.slice(0, -1).map(({ name }) => name)].join(" / ");

const Name = ({ file }: { file: FileDocument }) => (
  <span class="file-name"><bdi>{file.name}</bdi>{file.isPublic && <span class="mark" role="img" aria-label={t("files.public")} title={t("files.public")}><Icon name="globe" size={14} /></span>}</span>
);

const MoreButton = ({ file }: { file: FileDocument }) => (
  <button class="icon-button small dots" data-more tabIndex={-1} aria-label={t("files.moreFor", { name: file.name })} />
);

const More = ({ file }: { file: FileDocument }): ComponentChildren => <span role="gridcell" class="cell more" aria-colindex={4}><MoreButton file={file} /></span>;

/** The name in its row, while the user changes it. */
function NameField({ file }: { file: FileDocument }) {
  const field = useRef<HTMLInputElement>(null);
  const [name, setName] = useState(file.name);
  const busy = useRef(false);
  // Before the next key is pressed: a later selection would be replaced by the key after it.
  useLayoutEffect(() => {
    const dot = file.type === "folder" ? -1 : file.name.lastIndexOf(".");
    field.current!.focus();
    field.current!.setSelectionRange(0, dot > 0 ? dot : file.name.length);
  }, []);
  const finish = async (save: boolean) => {
    if (busy.current) return;
    busy.current = true;
    const wanted = name.trim();
    const done = !save || !wanted || wanted === file.name || (await renameTo(file, wanted).catch(() => false));
    // The field stays busy when it goes, because that takes the focus from it once more.
    if (done) renaming.value = null;
    else {
      busy.current = false;
      field.current?.focus();
    }
  };
  return (
    <input ref={field} class="name-field" value={name} maxLength={255} dir="auto" aria-label={t("files.newName")} onInput={(event) => setName(event.currentTarget.value)}
      onBlur={() => void finish(true)} onClick={(event) => event.stopPropagation()} onDblClick={(event) => event.stopPropagation()}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") void finish(true);
        else if (event.key === "Escape") { event.preventDefault(); void finish(false); }
      }} />
  );
}
