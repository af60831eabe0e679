import { useEffect, useState } from "preact/hooks";
import { api, type components } from "../api";
import { formatDate, formatRelative } from "../format";
import { locale, t } from "../i18n";
import { confirm, Icon, Skeleton, toast } from "../ui";
import { LoadProblem, useLoad } from "./form";
import { openNewKey, scopes } from "./new-key";
import { errorText } from "../errors";
import { passwordChanged } from "./signals";

type Key = components["schemas"]["ApiKey"];

/** The API keys: the list, and buttons that make and delete them. */
export function Keys() {
  const { data, problem, reload, setData } = useLoad(() => api.get("/users/me/keys"));
  useEffect(() => { if (passwordChanged.value) void reload(); }, [passwordChanged.value]);
  if (problem) return <LoadProblem text={problem} retry={() => void reload()} />;
  if (!data) return <Skeleton rows={2} />;

  const create = async () => { if (await openNewKey()) await reload(); };
  const remove = async ({ id, name }: Key) => {
    if (!(await confirm({ title: t("account.keyDeleteTitle", { name }), text: t("account.keyDeleteText"), yes: t("account.keyDelete"), danger: true }))) return;
    await api.delete("/users/me/keys/{id}", { path: { id } });
    setData(data.filter((key) => key.id !== id));
    toast(t("account.keyDeleted"));
  };
  return <>
    {data.length === 0 ? <p class="muted">{t("account.noKeys")}</p> : (
      <ul class="things">
        {data.map((key) => <Row key={key.id} of={key} remove={() => void remove(key).catch((error) => toast(errorText(error), { kind: "error" }))} />)}
      </ul>
    )}
    <div class="flow"><button type="button" class="button" onClick={() => void create()}><Icon name="plus" />{t("account.newKey")}</button></div>
  </>;
}

function Row({ of: key, remove }: { of: Key; remove: () => void }) {
  const rights = scopes.filter(({ scope }) => key.scopes.includes(scope)).map(({ label }) => t(label));
  const facts = [
    new Intl.ListFormat(locale.value, { type: "unit", style: "short" }).format(rights),
    expiry(key),
    key.lastUsedAt ? t("account.keyLastUsed", { date: formatRelative(key.lastUsedAt) }) : t("account.keyNeverUsed"),
  ];
  return (
    <li class="thing">
      <div class="thing-main">
        <p class="thing-name"><bdi>{key.name}</bdi></p>
        <p class="muted">{facts.join(" · ")}</p>
        {key.parentId && <FolderOf id={key.parentId} />}
      </div>
      <button type="button" class="icon-button" aria-label={t("account.keyDeleteLabel", { name: key.name })} title={t("account.keyDelete")} onClick={remove}>
        <Icon name="trash" />
      </button>
    </li>
  );
}

function expiry({ expiresAt }: Key): string {
  if (!expiresAt) return t("account.keyNoExpiry");
  return t(Date.parse(expiresAt) < Date.now() ? "account.keyExpired" : "account.keyExpires", { date: formatDate(expiresAt) });
}

/** The folder that a key is limited to. */
function FolderOf({ id }: { id: string }) {
  const [name, setName] = useState<string | null | undefined>();
  useEffect(() => void api.get("/files/{id}", { path: { id } }).then((folder) => setName(folder.name), () => setName(null)), [id]);
  if (name === undefined) return null;
  return <p class="muted">{name === null ? t("account.keyOnlyGone") : t("account.keyOnly", { name })}</p>;
}
