import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { t } from "../i18n";
import { account } from "../session";
import { Dialog, openDialog, toast } from "../ui";
import { passwordProblem } from "./check";
import { PasswordField, Problem, SubmitButton, useFocusOnError, useSubmit } from "./form";
import { waitingTime } from "./problem";
import { passwordChanged } from "./signals";

/** Changes the password. */
export async function openPasswordChange(): Promise<void> {
  if (await openDialog<true>((close) => <PasswordChange close={close} />)) {
    passwordChanged.value++;
    toast(t("account.passwordChanged"));
  }
}

interface Wrong { password?: string | null; newPassword?: string | null }

/** The error means that the password is wrong. */
export const isWrongPassword = (error: unknown): boolean => error instanceof ApiError && error.status === 401;

/** Says when the next attempt is possible, if the error is about that. */
export function tooMany(error: unknown): string | null {
  return error instanceof ApiError && error.status === 429 ? waitingTime(error.retryAfter ?? 60) : null;
}

function PasswordChange({ close }: { close: (changed?: true) => void }) {
  const [password, setPassword] = useState("");
  const [newPassword, setNewPassword] = useState("");
  const [wrong, setWrong] = useState<Wrong>({});
  const [attempt, setAttempt] = useState(0);
  const fields = useFocusOnError(attempt);
  const refuse = (problem: Wrong) => { setWrong(problem); setAttempt((before) => before + 1); };

  const { busy, problem, submit } = useSubmit(async () => {
    const same = password === newPassword && t("account.samePassword");
    const problems = { password: passwordProblem(password), newPassword: passwordProblem(newPassword) || same || null };
    refuse(problems);
    if (problems.password || problems.newPassword) return;
    try {
      await api.put("/users/me/password", { body: { password, newPassword } });
      close(true);
    } catch (error) {
      if (!isWrongPassword(error)) throw error;
      refuse({ password: t("account.wrongPassword") });
    }
  }, (error) => tooMany(error) ?? (error instanceof ApiError && error.status === 409 ? t("account.passwordRaced") : null));

  return (
    <Dialog title={t("account.changePassword")} onClose={() => close()} onSubmit={submit} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <SubmitButton class="button primary" busy={busy}>{t("account.changePassword")}</SubmitButton>
    </>}>
      <div class="stack" ref={fields}>
        <p class="muted">{t("account.changePasswordText")}</p>
        <input type="email" name="email" autocomplete="username" value={account.peek()?.email} readOnly hidden />
        <PasswordField label={t("account.currentPassword")} value={password} onInput={setPassword} error={wrong.password} autocomplete="current-password" autofocus />
        <PasswordField label={t("account.newPassword")} value={newPassword} onInput={setNewPassword} error={wrong.newPassword}
          autocomplete="new-password" hint={t("account.passwordHint")} />
        <Problem>{problem}</Problem>
      </div>
    </Dialog>
  );
}
