import { Field } from "../account/form";
import { formatMoment } from "../format";
import { locale, t } from "../i18n";
import { Icon } from "../ui";
import { CopyButton } from "./copy";
import { commonTypes, dayOf, type Draft, generatePassword, type Problems, units } from "./draft";
import type { Kind, Link } from "./links";

interface FieldsProps {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  problems: Problems;
  kind: Kind;
  /** The link that is changed; none for a new one. */
  link?: Link;
}

/** The fields for the options of a link. */
export function LinkFields(props: FieldsProps) {
  return (
    <div class="stack">
      <ExpiryFields {...props} />
      <PasswordOption {...props} />
      {props.kind === "download" ? <LimitField {...props} /> : <RequestFields {...props} />}
    </div>
  );
}

function ExpiryFields({ draft, change, problems, link }: FieldsProps) {
  const kept = link?.expiresAt ? t("sharing.expiryKeep", { date: formatMoment(link.expiresAt) }) : t("sharing.expiryKeepNever");
  return (
    <div class="columns">
      <Field label={t("sharing.expiry")}>
        {(own) => (
          <select {...own} value={draft.expiry} onChange={(event) => change({ expiry: event.currentTarget.value as Draft["expiry"] })}>
            {link && <option value="keep">{kept}</option>}
            {[1, 7, 30].map((count) => <option key={count} value={String(count)}>{t("sharing.expiryDays", { count })}</option>)}
            <option value="date">{t("sharing.expiryDate")}</option>
            <option value="never">{t("sharing.expiryNever")}</option>
          </select>
        )}
      </Field>
      {draft.expiry === "date" && (
        <Field label={t("sharing.date")} error={problems.date}>
          {(own) => <input {...own} type="date" min={dayOf(new Date())} value={draft.date} onInput={(event) => change({ date: event.currentTarget.value })} />}
        </Field>
      )}
    </div>
  );
}

function PasswordOption(props: FieldsProps) {
  const { draft, change, link } = props;
  if (link?.hasPassword && !draft.password) {
    const removed = draft.password === null;
    return (
      <div class="field" role="group" aria-label={t("sharing.password")}>
        <span class="field-label">{t("sharing.password")}</span>
        <p class="muted">{t(removed ? "sharing.passwordRemoved" : "sharing.passwordSet")}</p>
        <span class="flow">
          <button type="button" class="button" onClick={() => change({ password: generatePassword() })}>{t("sharing.passwordChange")}</button>
          <button type="button" class="button" onClick={() => change({ password: removed ? undefined : null })}>
            {t(removed ? "sharing.passwordKeep" : "sharing.passwordRemove")}</button>
        </span>
      </div>
    );
  }
  return <PasswordInput {...props} />;
}

function PasswordInput({ draft, change, problems }: FieldsProps) {
  const password = draft.password ?? "";
  return (
    <Field label={t("sharing.password")} hint={t("sharing.passwordHint")} error={problems.password}>
      {(own) => (
        <span class="field-joined">
          <input {...own} type="text" value={password} autocomplete="off" autocapitalize="off" spellcheck={false} dir="auto"
            onInput={(event) => change({ password: event.currentTarget.value || null })} />
          {password === "" ? <button type="button" class="button" onClick={() => change({ password: generatePassword() })}><Icon name="key" />{t("sharing.generate")}</button>
            : <CopyButton text={password} label={t("sharing.copyPassword")} done={t("sharing.passwordCopied")} />}
        </span>
      )}
    </Field>
  );
}

function LimitField({ draft, change, problems }: FieldsProps) {
  return (
    <Field label={t("sharing.limit")} hint={t("sharing.limitHint")} error={problems.limit}>
      {(own) => <input {...own} class="short" type="number" inputMode="numeric" min="1" step="1" value={draft.limit} onInput={(event) => change({ limit: event.currentTarget.value })} />}
    </Field>
  );
}

/** The limits of what may be uploaded. */
function RequestFields(props: FieldsProps) {
  const { draft, change, problems } = props;
  return <>
    <div class="columns">
      <Field label={t("sharing.requestSize")} hint={t("sharing.requestSizeHint")} error={problems.size}>
        {(own) => (
          <span class="field-joined">
            <input {...own} class="short" type="number" inputMode="decimal" min="0" step="any" value={draft.size} onInput={(event) => change({ size: event.currentTarget.value })} />
            <select aria-label={t("sharing.requestUnit")} value={draft.unit} onChange={(event) => change({ unit: Number(event.currentTarget.value) })}>
              {units.map((unit) => <option key={unit} value={unit}>{unitName(unit)}</option>)}
            </select>
          </span>
        )}
      </Field>
      <Field label={t("sharing.requestFiles")} hint={t("sharing.requestFilesHint")} error={problems.files}>
        {(own) => <input {...own} class="short" type="number" inputMode="numeric" min="1" step="1" value={draft.files} onInput={(event) => change({ files: event.currentTarget.value })} />}
      </Field>
    </div>
    <Types {...props} />
  </>;
}

/** The short name of a unit: the language decides where the number stands, so it is taken out. */
function unitName(unit: number): string {
  const name = ({ 1e6: "megabyte", 1e9: "gigabyte", 1e12: "terabyte" } as Record<number, string>)[unit]!;
  const parts = new Intl.NumberFormat(locale.value, { style: "unit", unit: name, unitDisplay: "short" }).formatToParts(1);
  return parts.find(({ type }) => type === "unit")!.value;
}

/** The names of the media types that have a box. */
export function typeName(type: string): string {
  const at = commonTypes.indexOf(type);
  const names = [t("sharing.typeImages"), t("sharing.typeVideos"), t("sharing.typeAudio"), t("sharing.typePdf"), t("sharing.typeText")];
  return names[at] ?? type;
}

function Types({ draft, change, problems }: FieldsProps) {
  const turn = (type: string) => change({ types: draft.types.includes(type) ? draft.types.filter((other) => other !== type) : [...draft.types, type] });
  const any = draft.types.length === 0 && draft.otherTypes.trim() === "";
  return <>
    <fieldset class="field">
      <legend>{t("sharing.requestTypes")}</legend>
      <div class="chips">
        <label class="chip"><input type="checkbox" checked={any} onChange={(event) => { event.currentTarget.checked = true; change({ types: [], otherTypes: "" }); }} />
          <span>{t("sharing.typeAny")}</span></label>
        {commonTypes.map((type) => (
          <label key={type} class="chip"><input type="checkbox" checked={draft.types.includes(type)} onChange={() => turn(type)} /><span>{typeName(type)}</span></label>
        ))}
      </div>
    </fieldset>
    <Field label={t("sharing.typeOther")} hint={t("sharing.typeOtherHint")} error={problems.otherTypes}>
      {(own) => <input {...own} type="text" value={draft.otherTypes} autocomplete="off" autocapitalize="off" spellcheck={false} dir="ltr"
        onInput={(event) => change({ otherTypes: event.currentTarget.value })} />}
    </Field>
  </>;
}
