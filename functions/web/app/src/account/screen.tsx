import type { ComponentChildren } from "preact";
import { t } from "../i18n";
import { account, signOut } from "../session";
import { addStyles, Icon, type IconName } from "../ui";
import { LanguageField, ThemeField } from "./appearance";
import { openDeletion } from "./deletion";
import { useOwnId } from "./form";
import { Keys } from "./keys";
import { openPasswordChange } from "./password";
import { Sessions } from "./sessions";
import css from "./screen.lazy.css";
import { usedText, UsageMeter, useUsage } from "./usage";

addStyles(css);

/** The account: what it is, what it uses, and what protects it. */
export function AccountScreen() {
  return (
    <div class="account">
      <h1>{t("account.title")}</h1>
      <Section icon="account" title={t("account.profile")}>
        <p class="account-email"><bdi>{account.value?.email}</bdi></p>
        <div class="flow">
          <button type="button" class="button" onClick={() => void openPasswordChange()}><Icon name="lock" />{t("account.changePassword")}</button>
          <button type="button" class="button" onClick={() => void signOut()}><Icon name="signOut" />{t("nav.signOut")}</button>
        </div>
      </Section>
      <Section icon="archive" title={t("account.storage")}><Storage /></Section>
      <Section icon="settings" title={t("account.appearance")}>
        <div class="columns"><LanguageField /><ThemeField /></div>
      </Section>
      <Section icon="globe" title={t("account.sessions")} text={t("account.sessionsText")}><Sessions /></Section>
      <Section icon="key" title={t("account.keys")} text={t("account.keysText")}><Keys /></Section>
      <Section icon="warning" title={t("account.delete")} text={t("account.deleteText")}>
        <div class="flow"><button type="button" class="button danger" onClick={() => void openDeletion()}>{t("account.delete")}</button></div>
      </Section>
    </div>
  );
}

function Section({ icon, title, text, children }: { icon: IconName; title: string; text?: string; children: ComponentChildren }) {
  const id = useOwnId();
  return (
    <section class="card account-section" aria-labelledby={id}>
      <header><Icon name={icon} /><h2 id={id}>{title}</h2></header>
      {text && <p class="muted">{text}</p>}
      {children}
    </section>
  );
}

function Storage() {
  const usage = useUsage();
  if (!usage) return null;
  const part = usage.quotaBytes == null ? 0 : usage.bytes / Math.max(usage.quotaBytes, 1);
  return <>
    <p>{usedText(usage)} · {t("account.files", { count: usage.files })}</p>
    <UsageMeter usage={usage} />
    {part >= 0.9 && <p class="field-error"><Icon name="warning" size={16} /><span>{t(part >= 1 ? "account.full" : "account.almostFull")}</span></p>}
    <p class="muted">{t("account.usageHint")}</p>
  </>;
}
