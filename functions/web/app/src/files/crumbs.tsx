import { t } from "../i18n";
import { address } from "../router";
import { Icon, openMenu } from "../ui";
import { actionsFor, menuOf } from "./actions";
import { dropTarget } from "./drag";
import { crumbs, currentFolder } from "./state";

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

/** The way to the folder that is shown. Each step is a place to drop on. */
export function Crumbs() {
  const steps = crumbs.value;
  return (
    <nav class="crumbs" aria-label={t("files.path")}>
      <Step id={null} name={t("files.all")} current={!steps.length} />
      {steps.map(({ id, name }, at) => <span key={id}><Icon name="chevron" size={16} /><Step id={id} name={name} current={at === steps.length - 1} /></span>)}
    </nav>
  );
}
