import { signal } from "@preact/signals";
import type { FileDocument } from "../api";
import { showError } from "../errors";
import { t } from "../i18n";
import { navigate, openView, route } from "../router";
import { type IconName, type MenuEntry, toast } from "../ui";
import { clipboard } from "./clipboard";
import * as operations from "./operations";
import { pickFiles } from "./pick";
import { currentFolder, listing, parentOf, readShownFolder, renaming, shownFolder } from "./state";

export interface Action {
  id: string;
  label: string;
  icon: IconName;
  keys?: string;
  danger?: boolean;
  /** The group in a menu; a line stands between groups. */
  group: number;
  run: () => void;
}

const ctrl = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl ";
/** True while the panel with the details of the selection is shown. */
export const detailsShown = signal(localStorage.getItem("files-manager.details") === "1");

export function showDetails(shown: boolean): void {
  detailsShown.value = shown;
  localStorage.setItem("files-manager.details", shown ? "1" : "0");
}

export function open(file: FileDocument): void {
  if (file.type === "folder") navigate({ screen: "files", folder: file.id });
  else openView(file.id);
}

export async function moveTo(files: FileDocument[]): Promise<void> {
  const { pickFolder } = await import("./picker");
  const picked = await pickFolder({
    title: t("files.moveTitle", { count: files.length, name: files[0]!.name }), yes: t("files.moveHere"),
    start: parentOf(files[0]!), without: new Set(files.map(({ id }) => id)),
  });
  if (picked) await operations.move(files, picked.id);
}

const sharing = () => import("../parts");
const failed = () => void toast(t("error.offline"), { kind: "error" });

function trashActions(files: FileDocument[]): Action[] {
  return [
    { id: "restore", label: t("action.restore"), icon: "restore", group: 0, run: () => void operations.restore(files) },
    { id: "destroy", label: t("action.destroy"), icon: "trash", keys: "Delete", danger: true, group: 1, run: () => void operations.destroy(files) },
  ];
}

function singleActions(file: FileDocument): Action[] {
  const folder = file.type === "folder";
  const actions: Action[] = [
    { id: "open", label: t("action.open"), icon: folder ? "folder" : "eye", keys: "Enter", group: 0, run: () => open(file) },
    { id: "share", label: t("action.share"), icon: "share", group: 1, run: () => void sharing().then((module) => module.openShare(file), failed) },
  ];
  if (folder) {
    actions.push({ id: "request", label: t("action.request"), icon: "request", group: 1, run: () => void sharing().then((module) => module.openFileRequest(file), failed) });
  } else {
    actions.push(file.isPublic
      ? { id: "unpublish", label: t("action.unpublish"), icon: "lock", group: 1, run: () => void operations.publish(file, false) }
      : { id: "publish", label: t("action.publish"), icon: "globe", group: 1, run: () => void operations.publish(file, true) });
  }
  if (route.peek().screen === "search") {
    actions.push({ id: "locate", label: t("action.locate"), icon: "folder", group: 0, run: () => navigate({ screen: "files", folder: parentOf(file) }) });
  }
  return actions;
}

/** What can be done with documents: the same in the context menu, in the toolbar and by keyboard. */
export function actionsFor(files: FileDocument[]): Action[] {
  const [first] = files;
  if (!first) return [];
  if (first.trashedAt) return trashActions(files);
  const plain = files.length === 1 && first.type !== "folder";
  const self = files.length === 1 && first.id === currentFolder.peek()?.id;
  const actions: Action[] = [
    ...(files.length === 1 ? singleActions(first) : []).filter(({ id }) => !(self && id === "open")),
    { id: "download", label: t(plain ? "action.download" : "action.zip"), icon: plain ? "download" : "archive", group: 1,
      run: () => (plain ? operations.download(first) : void sharing().then((module) => module.downloadZip(files), failed)) },
    { id: "move", label: t("action.move"), icon: "move", group: 2, run: () => void moveTo(files) },
    { id: "trash", label: t("action.trash"), icon: "trash", keys: "Delete", danger: true, group: 4, run: () => void trashAndLeave(files, self) },
  ];
  if (!self) actions.push(
    { id: "duplicate", label: t("action.duplicate"), icon: "duplicate", group: 2, run: () => void operations.copy(files, parentOf(first)) },
    { id: "cut", label: t("action.cut"), icon: "cut", keys: `${ctrl}X`, group: 2, run: () => clipboard.take(files, true) },
    { id: "copy", label: t("action.copy"), icon: "copy", keys: `${ctrl}C`, group: 2, run: () => clipboard.take(files, false) },
  );
  if (files.length === 1) {
    if (!self) actions.push({ id: "rename", label: t("action.rename"), icon: "edit", keys: "F2", group: 2, run: () => { renaming.value = first.id; } });
    actions.push({ id: "details", label: t("action.details"), icon: "info", group: 3, run: () => { if (self) listing.peek().clear(); showDetails(true); } });
  }
  return actions.sort((a, b) => a.group - b.group);
}

async function trashAndLeave(files: FileDocument[], self: boolean): Promise<void> {
  await operations.trash(files);
  if (self) navigate({ screen: "files", folder: parentOf(files[0]!) });
}

export function menuOf(actions: Action[]): MenuEntry[] {
  return actions.flatMap((action, at) => (at && actions[at - 1]!.group !== action.group ? ["line", action] : [action]) satisfies MenuEntry[]);
}

export const runAction = (id: string, files: FileDocument[]): boolean => {
  const action = actionsFor(files).find((one) => one.id === id);
  action?.run();
  return Boolean(action);
};

/** What can be done with the folder that is shown. */
export function folderMenu(): MenuEntry[] {
  const folder = currentFolder.peek();
  return [...createMenu(), ...(clipboard.files.peek() ? ["line" as const, pasteItem()] : []), ...(folder ? ["line" as const, ...menuOf(actionsFor([folder]))] : [])];
}

const pasteItem = () => ({ label: t("action.paste"), icon: "paste" as const, keys: `${ctrl}V`, run: () => void clipboard.paste(shownFolder()) });

async function request(): Promise<void> {
  try {
    const [module, folder] = await Promise.all([sharing(), readShownFolder()]);
    module.openFileRequest(folder);
  } catch (error) {
    showError(error);
  }
}

async function makeFolder(parent: string | null): Promise<void> {
  const { askNewFolder } = await import("./new-folder");
  const made = await askNewFolder(parent);
  if (made && route.peek().screen !== "files") navigate({ screen: "files", folder: parent });
}

/** The menu behind the button New. */
export function createMenu(): MenuEntry[] {
  const folder = shownFolder();
  const pick = (folders: boolean) => pickFiles(folders, folder);
  return [
    { label: t("action.newFolder"), icon: "folderAdd", run: () => void makeFolder(folder) },
    "line",
    { label: t("action.uploadFiles"), icon: "upload", run: () => pick(false) },
    { label: t("action.uploadFolder"), icon: "uploadFolder", run: () => pick(true) },
    { label: t("action.request"), icon: "request", run: () => void request() },
  ];
}
