import { useEffect, useState } from "preact/hooks";
import { api, type FileDocument } from "./api";
import { dropTarget, type Place } from "./files/drag";
import { createMenu } from "./files/actions";
import { goUp } from "./files/keyboard";
import { FilesScreen } from "./files/screen";
import { folderName, listing, startFiles } from "./files/state";
import { locale, locales, setLocale, t } from "./i18n";
import { address, closeView, type Route, route, view } from "./router";
import { SearchField } from "./search-field";
import { account, sessionLost, signOut } from "./session";
import { setTheme, theme } from "./theme";
import { trayShown } from "./uploads/start";
import { Icon, type IconName, lazy, type MenuEntry, openMenu } from "./ui";
import { showError } from "./errors";

const parts = () => import("./parts");
const AccountScreen = lazy(() => parts().then((module) => module.AccountScreen));
const UsageBar = lazy(() => parts().then((module) => module.UsageBar));
const SessionDialog = lazy(() => parts().then((module) => module.SessionDialog));
const ConnectionBanner = lazy(() => parts().then((module) => module.ConnectionBanner));
const LinksScreen = lazy(() => parts().then((module) => module.LinksScreen));
const Viewer = lazy(() => import("./viewer").then((module) => module.Viewer));
const UploadTray = lazy(() => import("./uploads/tray").then((module) => module.UploadTray));

function languageMenu(at: Element): void {
  const names = Object.entries(locales) as [keyof typeof locales, string][];
  openMenu(at, names.map(([name, label]) => ({ label, checked: locale.peek() === name, run: () => void setLocale(name).catch(showError) })));
}

function accountMenu(button: Element): MenuEntry[] {
  const look = (value: typeof theme.value, label: string) => ({ label, checked: theme.peek() === value, run: () => setTheme(value) });
  return [
    { label: t("nav.account"), icon: "settings", run: () => { location.hash = address({ screen: "account" }); } },
    { label: t("nav.language"), icon: "globe", run: () => languageMenu(button) },
    { label: t("help.title"), icon: "help", keys: "?", run: () => void help() },
    "line", look("system", t("theme.system")), look("light", t("theme.light")), look("dark", t("theme.dark")),
    "line", { label: t("nav.signOut"), icon: "signOut", run: () => void signOut().catch(showError) },
  ];
}

async function help(): Promise<void> {
  const { openHelp } = await import("./files/help");
  openHelp();
}

function Header() {
  const email = account.value?.email ?? "";
  return (
    <header class="top">
      <a class="brand" aria-label={t("core.title")} href={address({ screen: "files", folder: null })}><span class="logo"><Icon name="folder" /></span><span class="brand-name">{t("core.title")}</span></a>
      <SearchField />
      <button class="icon-button help-button" aria-label={t("help.title")} title={`${t("help.title")} (?)`} onClick={() => void help()}><Icon name="help" /></button>
      <button class="avatar" aria-label={t("nav.accountOf", { email })} title={email} aria-haspopup="menu" onClick={(event) => openMenu(event.currentTarget, accountMenu(event.currentTarget))}>
        {email.slice(0, 1).toLocaleUpperCase() || "?"}
      </button>
    </header>
  );
}

interface EntryProps { to: Route; icon: IconName; label: string; place?: Place }

function Entry({ to, icon, label, place }: EntryProps) {
  const now = route.value.screen;
  const current = now === to.screen || (now === "search" && to.screen === "files");
  return <a class="nav-entry" href={address(to)} aria-current={current ? "page" : undefined} {...(place && dropTarget(place))}><Icon name={icon} /><span>{label}</span></a>;
}

const NewButton = () => (
  <button class="button primary new" aria-haspopup="menu" onClick={(event) => openMenu(event.currentTarget, createMenu())}><Icon name="plus" /><span>{t("nav.new")}</span></button>
);

function Navigation() {
  return (
    <nav class="side" aria-label={t("nav.label")}>
      <NewButton />
      <Entry to={{ screen: "files", folder: null }} icon="folder" label={t("files.all")} place={{ folder: null }} />
      <Entry to={{ screen: "links" }} icon="link" label={t("nav.links")} />
      <Entry to={{ screen: "trash" }} icon="trash" label={t("trash.title")} place="trash" />
      <Entry to={{ screen: "account" }} icon="account" label={t("nav.account")} />
      <div class="side-end"><UsageBar /></div>
    </nav>
  );
}

/** The file that is viewed: from the list that is shown, or from the API after a direct way to it. */
function View({ id }: { id: string }) {
  const [read, setRead] = useState<FileDocument | null>(null);
  const file = listing.value.get(id) ?? (read?.id === id ? read : null);
  useEffect(() => {
    if (listing.peek().get(id)) return;
    api.get("/files/{id}", { path: { id } }).then(setRead, (error) => { showError(error); closeView(); });
  }, [id]);
  if (!file) return null;
  const files = listing.value.items.value.filter(({ type }) => type !== "folder");
  return <Viewer file={file} siblings={files.some((one) => one.id === id) ? files : [file]} onClose={closeView} />;
}

const typing = (event: Event) => (event.target as Element).closest("input, textarea, select, [contenteditable], dialog, [popover]") !== null;

function onKey(event: KeyboardEvent): void {
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey || view.peek()) return;
  if (event.key === "?") void help();
  else if (event.key === "/") document.querySelector<HTMLElement>("#search")?.focus();
  else if (event.key === "Backspace" && !event.defaultPrevented) goUp();
  else return;
  event.preventDefault();
}

function titleOf(to: Route): string {
  const name = to.screen === "files" ? folderName.value
    : to.screen === "search" ? t("search.label") : to.screen === "trash" ? t("trash.title") : t(`nav.${to.screen}`);
  return `${name} – ${t("core.title")}`;
}

/** The frame of all screens for who has signed in. */
export function Shell() {
  const to = route.value;
  const title = titleOf(to);
  const [settled, setSettled] = useState(false);
  useEffect(() => { document.title = title; }, [title]);
  useEffect(() => {
    const stop = startFiles();
    const timer = setTimeout(setSettled, 1000, true);
    addEventListener("keydown", onKey);
    return () => { stop(); clearTimeout(timer); removeEventListener("keydown", onKey); };
  }, []);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>("#main")?.focus(); }}>{t("nav.skip")}</a>
      <Header />
      <Navigation />
      <main id="main" tabIndex={-1}>
        <ConnectionBanner />
        {to.screen === "links" ? <LinksScreen /> : to.screen === "account" ? <AccountScreen /> : <FilesScreen />}
      </main>
      {(settled || trayShown.value) && <UploadTray />}
      {view.value && <View id={view.value} />}
      {sessionLost.value && <SessionDialog />}
    </div>
  );
}

