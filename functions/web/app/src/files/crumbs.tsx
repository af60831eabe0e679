import { signal } from "@preact/signals";
import { t } from "../i18n";
import { address, navigate, route } from "../router";
import { Icon, openMenu } from "../ui";
import { actionsFor, menuOf } from "./actions";
import { dropTarget } from "./drag";
import { crumbs, currentFolder, folderName } from "./state";

interface StepProps { id: string | null; name: string; current: boolean }

function Step({ id, name, current }: StepProps) {
  const folder = currentFolder.value;
  if (current && folder) return (
    <button class="crumb" aria-current="page" aria-haspopup="menu" onClick={(event) => openMenu(event.currentTarget, menuOf(actionsFor([folder])))}>
      <h1><bdi>{name}</bdi></h1><Icon name="expand" size={16} />
    </button>
  );
  if (current) return <span class="crumb" aria-current="page"><h1>{name}</h1></span>;
  return <a class="crumb" href={address({ screen: "files", folder: id })} {...dropTarget({ folder: id })}><bdi>{name}</bdi></a>;
}

const narrowScreen = matchMedia("(max-width: 720px)");
const narrow = signal(narrowScreen.matches);
narrowScreen.addEventListener("change", () => { narrow.value = narrowScreen.matches; });

/** The steps that have no room, in a menu. */
function Hidden({ steps }: { steps: { id: string | null; name: string }[] }) {
  const entries = () => steps.map(({ id, name }) => ({ label: name, icon: "folder" as const, run: () => navigate({ screen: "files", folder: id }) }));
  return <button class="crumb" aria-label={t("files.pathHidden")} title={t("files.pathHidden")} aria-haspopup="menu" onClick={(event) => openMenu(event.currentTarget, entries())}>…</button>;
}

/** The way to the folder that is shown. Each step is a place to drop on. */
export function Crumbs() {
  const to = route.value;
  const known: { id: string | null; name: string }[] = crumbs.value;
  const unknown = to.screen === "files" && to.folder && !known.length ? [{ id: to.folder, name: folderName.value }] : [];
  const steps = [{ id: null, name: t("files.all") }, ...known, ...unknown];
  const room = narrow.value ? 2 : 5;
  // The root stays in sight where there is room for more than two steps.
  const first = steps.length > room && !narrow.value ? steps.slice(0, 1) : [];
  const last = steps.length > room ? steps.slice(narrow.value ? -1 : -3) : steps;
  const hidden = steps.slice(first.length, steps.length - last.length);
  return (
    <nav class="crumbs" aria-label={t("files.path")}>
      {first.map((step) => <span key={step.id}><Step {...step} current={false} /><Icon name="chevron" size={16} /></span>)}
      {hidden.length > 0 && <span><Hidden steps={hidden} /><Icon name="chevron" size={16} /></span>}
      {last.map((step, at) => <span key={step.id}><Step {...step} current={at === last.length - 1} />{at < last.length - 1 && <Icon name="chevron" size={16} />}</span>)}
    </nav>
  );
}
