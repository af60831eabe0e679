import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { connection } from "../api";
import { addEnglish, t } from "../i18n";
import english from "../i18n/en/account";
import { addStyles, Icon } from "../ui";
import { errorText } from "../errors";
import css from "./form.lazy.css";

addEnglish(english);
addStyles(css);

let last = 0;
/** An id of its own in the whole page, also across dialogs, which are rendered apart. */
export function useOwnId(): string {
  return useState(() => `own-${++last}`)[0];
}

interface Described { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }
interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: ComponentChildren;
  /** The control, which takes these attributes. */
  children: (own: Described) => ComponentChildren;
}

/** A control with its label, a hint, and what is wrong with its value. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useOwnId();
  const texts = [error && `${id}-error`, hint && `${id}-hint`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...(texts && { "aria-describedby": texts }), ...(error && { "aria-invalid": true }) })}
      {error && <p class="field-error" id={`${id}-error`}><Icon name="warning" size={16} /><span>{error}</span></p>}
      {hint && <p class="field-hint" id={`${id}-hint`}>{hint}</p>}
    </div>
  );
}

interface PasswordProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  /** `current-password` or `new-password`, for password managers. */
  autocomplete: string;
  hint?: ComponentChildren;
  error?: ComponentChildren;
  autofocus?: boolean;
}

/** A password, which can be shown. */
export function PasswordField({ value, onInput, autocomplete, autofocus, ...field }: PasswordProps) {
  const [shown, setShown] = useState(false);
  return (
    <Field {...field}>
      {(own) => (
        <span class="field-inside" dir="ltr">
          <input {...own} type={(shown ? "text" : "password") as "text"} name="password" value={value} autocomplete={autocomplete as "off"}
            autofocus={autofocus ?? false} autocapitalize="off" spellcheck={false} onInput={(event) => onInput(event.currentTarget.value)} />
          <button type="button" class="icon-button" aria-label={t(shown ? "account.hide" : "account.show")}
            onClick={() => setShown(!shown)}><Icon name={shown ? "eyeOff" : "eye"} /></button>
        </span>
      )}
    </Field>
  );
}

/** What is wrong with a whole form. Screen readers say it at once. */
export function Problem({ children }: { children: ComponentChildren }) {
  return <div role="alert">{children && <p class="problem"><Icon name="warning" /><span>{children}</span></p>}</div>;
}

type SubmitProps = ButtonHTMLAttributes<HTMLButtonElement> & { busy: boolean; busyText?: string };
/** A button that shows that its work is going on, and takes no second click. */
export function SubmitButton({ busy, busyText, children, ...rest }: SubmitProps) {
  return (
    <button {...rest} aria-disabled={busy || undefined} onClick={busy ? (event) => event.preventDefault() : rest.onClick}>
      {busy ? busyText ?? children : children}
    </button>
  );
}

/** Runs the work of a form once at a time; `problem` is what went wrong. */
export function useSubmit(work: () => Promise<void>, known: (error: unknown) => string | null = () => null) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async () => {
    if (busy) return;
    setBusy(true);
    setProblem(null);
    await work().catch((error: unknown) => setProblem(known(error) ?? errorText(error)));
    setBusy(false);
  };
  return { busy, problem, setProblem, submit: () => void submit() };
}

/** Puts the focus on the first control that is wrong, whenever `attempt` changes. */
export function useFocusOnError(attempt: number) {
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (attempt > 0) form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }, [attempt]);
  return form;
}

/** The seconds from now to a time in milliseconds; 0 when it is over. */
export function useSecondsUntil(until: number): number {
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1000));
  const [seconds, setSeconds] = useState(left);
  useEffect(() => {
    setSeconds(left());
    if (left() === 0) return;
    const timer = setInterval(() => setSeconds(left()), 1000);
    return () => clearInterval(timer);
  }, [until]);
  return until > Date.now() ? seconds : 0;
}

/** Reads something for a screen. `problem` is why there is nothing. */
export function useLoad<T>(load: () => Promise<T>) {
  const [data, setData] = useState<T | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const reload = () => {
    setProblem(null);
    return load().then(setData, (error: unknown) => setProblem(errorText(error)));
  };
  useEffect(() => void reload(), []);
  return { data, setData, problem, reload };
}

/** Says that something could not be loaded. Tries again when the connection is back, or when the user asks for it. */
export function LoadProblem({ text, retry }: { text: string; retry: () => void }) {
  const online = connection.value.state === "online";
  const wasOffline = useRef(!online);
  useEffect(() => {
    if (online && wasOffline.current) retry();
    wasOffline.current = !online;
  }, [online]);
  return (
    <div role="alert" class="load-problem">
      <p>{t("account.loadFailed")} {text}</p>
      <button type="button" class="button" onClick={retry}>{t("core.retry")}</button>
    </div>
  );
}
