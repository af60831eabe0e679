import { useEffect, useState } from "preact/hooks";
import { api, type components } from "../api";
import { formatMoment } from "../format";
import { t } from "../i18n";
import { confirm, Skeleton, toast } from "../ui";
import { LoadProblem, useLoad } from "./form";
import { errorText } from "../errors";
import { passwordChanged } from "./signals";

type Session = components["schemas"]["Session"];
const atFirst = 5;

/** The sessions of the account: this one first, then the newest. */
export function Sessions() {
  const { data, problem, reload, setData } = useLoad(() => api.get("/users/me/sessions"));
  const [shown, setShown] = useState(atFirst);
  useEffect(() => { if (passwordChanged.value) void reload(); }, [passwordChanged.value]);
  if (problem) return <LoadProblem text={problem} retry={() => void reload()} />;
  if (!data) return <Skeleton rows={2} />;

  const sorted = [...data].sort((a, b) => Number(b.current) - Number(a.current));
  const end = async ({ id }: Session) => {
    await api.delete("/users/me/sessions/{id}", { path: { id } });
    setData(data.filter((session) => session.id !== id));
    toast(t("account.sessionEnded"));
  };
  const endOthers = async () => {
    if (!(await confirm({ title: t("account.endOthersTitle"), text: t("account.endOthersText"), yes: t("account.endOthers"), danger: true }))) return;
    await api.delete("/users/me/sessions");
    setData(data.filter((session) => session.current));
    toast(t("account.othersEnded"));
  };
  const say = (error: unknown) => toast(errorText(error), { kind: "error" });

  return <>
    <ul class="things">
      {sorted.slice(0, shown).map((session) => <Row key={session.id} session={session} end={() => void end(session).catch(say)} />)}
    </ul>
    <div class="flow">
      {sorted.length > shown && <button type="button" class="button" onClick={() => setShown(shown + 50)}>
        {t("account.sessionShown", { count: Math.min(50, sorted.length - shown) })}</button>}
      {sorted.length > 1 && <button type="button" class="button" onClick={() => void endOthers().catch(say)}>{t("account.endOthers")}</button>}
    </div>
  </>;
}

function Row({ session: { createdAt, expiresAt, current }, end }: { session: Session; end: () => void }) {
  const since = formatMoment(createdAt);
  return (
    <li class="thing">
      <div class="thing-main">
        <p class="thing-name">{t("account.sessionSince", { date: since })} {current && <span class="badge good">{t("account.thisSession")}</span>}</p>
        <p class="muted">{t("account.sessionEnds", { date: formatMoment(expiresAt) })}</p>
      </div>
      {!current && <button type="button" class="button" aria-label={t("account.endSession", { date: since })} onClick={end}>{t("account.end")}</button>}
    </li>
  );
}
