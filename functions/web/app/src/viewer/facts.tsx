import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, type FileDocument } from "../api";
import { kindOf } from "../files/kinds";
import { formatMoment, formatNumber, formatSize } from "../format";
import { t } from "../i18n";
import { Icon } from "../ui";

const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => <div><dt>{name}</dt><dd>{children}</dd></div>;

/** What is known of the file, beside it. */
export function Facts({ file, onClose }: { file: FileDocument; onClose: () => void }) {
  const [where, setWhere] = useState("");
  useEffect(() => {
    setWhere("");
    const ended = new AbortController();
    api.get("/files/{id}/path", { path: { id: file.id }, signal: ended.signal })
      .then((path) => setWhere([t("files.all"), ...path.slice(0, -1).map(({ name }) => name)].join(" / ")), () => {});
    return () => ended.abort();
  }, [file.id]);
  return (
    <aside class="viewer-facts" aria-label={t("action.details")}>
      <header><h3>{t("action.details")}</h3><button type="button" class="icon-button" aria-label={t("core.close")} onClick={onClose}><Icon name="close" /></button></header>
      <dl>
        <Fact name={t("viewer.name")}><bdi>{file.name}</bdi></Fact>
        <Fact name={t("details.kind")}>{t(`kind.${kindOf(file)}`)}</Fact>
        {file.size !== undefined && <Fact name={t("files.size")}>{formatSize(file.size)}</Fact>}
        {file.width && file.height && <Fact name={t("details.picture")}>{formatNumber(file.width)} × {formatNumber(file.height)}</Fact>}
        {file.takenAt && <Fact name={t("details.taken")}>{formatMoment(file.takenAt)}</Fact>}
        {where && <Fact name={t("details.where")}><bdi>{where}</bdi></Fact>}
        <Fact name={t("files.changed")}>{formatMoment(file.updatedAt ?? file.createdAt)}</Fact>
        <Fact name={t("details.created")}>{formatMoment(file.createdAt)}</Fact>
      </dl>
    </aside>
  );
}
