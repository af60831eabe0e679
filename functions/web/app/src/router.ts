import { computed, signal } from "@preact/signals";

export type Route =
  | { screen: "files"; folder: string | null }
  | { screen: "search"; query: string }
  | { screen: "trash" | "links" | "account" };

function parse(hash: string): { route: Route; view: string | null } | null {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [screen, id] = path.split("/");
  switch (screen) {
    case "view": return null;
    case "search": return { route: { screen, query: new URLSearchParams(search).get("q") ?? "" }, view: null };
    case "trash": case "links": case "account": return { route: { screen }, view: null };
    default: return { route: { screen: "files", folder: id || null }, view: null };
  }
}
const viewed = (hash: string) => /^#\/view\/([^/?]+)/.exec(hash)?.[1] ?? null;

const hash = signal(location.hash);
/** The screen; while a file is viewed, the screen below it. */
export const route = signal<Route>(parse(location.hash)?.route ?? { screen: "files", folder: null });
/** The file that is viewed above the screen. */
export const view = computed(() => viewed(hash.value));
/** True if the viewer was opened from a screen of this page: to close it is to go back. */
let opened = false;

addEventListener("hashchange", () => {
  const next = parse(location.hash);
  if (next && JSON.stringify(next.route) !== JSON.stringify(route.peek())) route.value = next.route;
  if (next) opened = false;
  hash.value = location.hash;
});

export function address(to: Route): string {
  if (to.screen === "files") return to.folder ? `#/files/${to.folder}` : "#/files";
  if (to.screen === "search") return `#/search?q=${encodeURIComponent(to.query)}`;
  return `#/${to.screen}`;
}

export function navigate(to: Route, { replace = false } = {}): void {
  if (replace) location.replace(address(to));
  else location.hash = address(to);
}

/** Views a file. From the viewer (previous, next) it takes the place of the one before. */
export function openView(id: string): void {
  if (view.peek()) location.replace(`#/view/${id}`);
  else {
    opened = true;
    location.hash = `#/view/${id}`;
  }
}

export function closeView(): void {
  if (opened) history.back();
  else location.replace(address(route.peek()));
}
