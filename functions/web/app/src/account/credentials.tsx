import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../api";
import { t } from "../i18n";
import { signIn, signUp } from "../session";
import { emailProblem, passwordProblem } from "./check";
import { Field, PasswordField, Problem, SubmitButton, useFocusOnError, useSecondsUntil } from "./form";
import { errorText } from "../errors";
import { waitingTime } from "./problem";

export type Mode = "signIn" | "signUp";
interface Wrong { email?: string | null; taken?: boolean; password?: string | null; form?: string }

/** Says which field an error of the API is about. */
function blame(error: unknown, known?: string): Wrong {
  if (error instanceof ApiError) {
    if (error.status === 401) return { password: t(known ? "account.wrongPassword" : "account.wrong") };
    if (error.message === "Already exist") return { email: t("account.emailTaken"), taken: true };
    if (error.message === "Invalid email") return { email: t("account.emailInvalid") };
    if (error.message === "Invalid password") return { password: t("account.passwordLong") };
  }
  return { form: errorText(error) };
}

function check(mode: Mode, email: string, password: string): Wrong | null {
  const wrong = { email: emailProblem(email, mode === "signUp"), password: passwordProblem(password) };
  return wrong.email || wrong.password ? wrong : null;
}

interface CredentialsProps {
  mode: Mode;
  /** The account that must sign in again; without it the e-mail is asked for. */
  known?: string;
  submit?: string;
  onDone?: () => void;
  /** Is called when the e-mail of a new account has an account already. */
  onTaken?: () => void;
  children?: ComponentChildren;
}

/** The form that signs in or up. What is typed stays when the mode changes. */
export function Credentials({ mode, known, submit, onDone, onTaken, children }: CredentialsProps) {
  const [email, setEmail] = useState(known ?? "");
  const [password, setPassword] = useState("");
  const [wrong, setWrong] = useState<Wrong>({});
  const [busy, setBusy] = useState(false);
  const [limit, setLimit] = useState({ until: 0, seconds: 0 });
  const [attempt, setAttempt] = useState(0);
  const wait = useSecondsUntil(limit.until);
  const fields = useFocusOnError(attempt);

  async function send() {
    const problem = check(mode, email, password);
    setWrong(problem ?? {});
    setAttempt(attempt + 1);
    if (problem || busy || wait) return;
    setBusy(true);
    try {
      await (mode === "signIn" ? signIn : signUp)(email, password);
      onDone?.();
    } catch (error) {
      if (error instanceof ApiError && error.status === 429) setLimit(limitOf(error));
      else setWrong(blame(error, known));
      setAttempt((before) => before + 1);
    }
    setBusy(false);
  }

  return (
    <form class="credentials" noValidate onSubmit={(event) => { event.preventDefault(); void send(); }}>
      <div ref={fields} class="stack">
        <EmailField value={email} known={known} onInput={setEmail} error={wrong.email && <>{wrong.email}
          {wrong.taken && onTaken && <> <button type="button" class="link" onClick={onTaken}>{t("account.signInInstead")}</button></>}</>} />
        <PasswordField label={t("account.password")} value={password} onInput={setPassword} error={wrong.password} autofocus={known !== undefined}
          autocomplete={mode === "signIn" ? "current-password" : "new-password"} hint={mode === "signUp" && t("account.passwordHint")} />
      </div>
      <Problem>{wait ? <Waiting first={limit.seconds} left={wait} /> : wrong.form}</Problem>
      <SubmitButton class="button primary full" busy={busy} disabled={wait > 0} busyText={t(mode === "signIn" ? "account.signingIn" : "account.signingUp")}>
        {submit ?? t(`account.${mode}`)}
      </SubmitButton>
      {children}
    </form>
  );
}

function limitOf({ retryAfter: seconds = 60 }: ApiError) {
  return { until: Date.now() + 1000 * seconds, seconds };
}

/** How long to wait. Screen readers say it once, and not with each second. */
function Waiting({ first, left }: { first: number; left: number }) {
  return <><span class="hidden">{waitingTime(first)}</span><span aria-hidden="true">{waitingTime(left)}</span></>;
}

function EmailField({ value, known, onInput, error }: { value: string; known: string | undefined; onInput: (value: string) => void; error: ComponentChildren }) {
  return (
    <Field label={t("account.email")} error={error}>
      {(own) => <input {...own} type="email" name="email" value={value} autocomplete="username" autocapitalize="off" spellcheck={false} dir="ltr"
        readOnly={known !== undefined} autofocus={known === undefined} onInput={(event) => onInput(event.currentTarget.value)} />}
    </Field>
  );
}
