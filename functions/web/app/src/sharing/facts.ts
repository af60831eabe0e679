import { formatDate, formatMoment, formatNumber, formatRelative, formatSize } from "../format";
import { locale, t } from "../i18n";
import { typeName } from "./fields";
import { type Link, stateOf } from "./links";

const unlimited = 5 * 2 ** 40;

/** The day of a time; of one within two days also the hour. */
export function dayOrMoment(timestamp: string): string {
  const far = Math.abs(Date.parse(timestamp) - Date.now()) > 2 * 86_400_000;
  return far ? formatDate(timestamp) : formatMoment(timestamp);
}

/** What the owner wants to know of a link, in short parts. */
export function factsOf(link: Link): string[] {
  return [expiry(link), link.hasPassword && t("sharing.protected"), ...(link.kind === "download" ? [downloads(link)] : limits(link)), use(link)]
    .filter((fact): fact is string => Boolean(fact));
}

function expiry(link: Link): string {
  if (!link.expiresAt) return t("sharing.noExpiry");
  return t(stateOf(link) === "expired" ? "sharing.expiredOn" : "sharing.expiresOn", { date: dayOrMoment(link.expiresAt) });
}

function downloads({ downloads: done, maxDownloads }: Link): string {
  if (maxDownloads == null) return t("sharing.downloads", { count: done });
  return t("sharing.downloadsOf", { done: formatNumber(done), count: maxDownloads });
}

function limits({ maxBytes, maxFiles, types }: Link): (string | false)[] {
  const names = new Intl.ListFormat(locale.value, { type: "conjunction" }).format((types ?? []).map((type) => `\u2068${typeName(type)}\u2069`));
  return [
    maxFiles !== undefined && t("sharing.maxFiles", { count: maxFiles }),
    maxBytes !== undefined && maxBytes < unlimited && t("sharing.maxBytes", { size: formatSize(maxBytes) }),
    names !== "" && t("sharing.typesOnly", { types: names }),
  ];
}

const use = ({ lastUsedAt }: Link): string => (lastUsedAt ? t("sharing.lastUsed", { date: formatRelative(lastUsedAt) }) : t("sharing.neverUsed"));
