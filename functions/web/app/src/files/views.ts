import { signal } from "@preact/signals";

export type Sort = "name" | "size" | "date";
export type Order = "asc" | "desc";
export interface View { sort: Sort; order: Order; mode: "list" | "grid" }

const stored = "files-manager.views";
const standard: View = { sort: "name", order: "asc", mode: "list" };

function read(): Record<string, View> {
  try {
    return JSON.parse(localStorage.getItem(stored) ?? "{}") as Record<string, View>;
  } catch {
    return {};
  }
}

/** How each folder was last shown. `*` is the last choice of all, which other folders get. */
const views = signal(read());

export function viewOf(folder: string | null): View {
  return { ...standard, ...(views.value[folder ?? "root"] ?? views.value["*"]) };
}

/** Changes how a folder is shown, and remembers that in this browser. */
export function setView(folder: string | null, change: Partial<View>): void {
  const key = folder ?? "root";
  const view = { ...viewOf(folder), ...change };
  const { [key]: _, ["*"]: __, ...others } = views.peek();
  const recent = Object.entries(others).slice(-200);
  views.value = { ...Object.fromEntries(recent), [key]: view, "*": { ...standard, mode: view.mode } };
  localStorage.setItem(stored, JSON.stringify(views.peek()));
}
