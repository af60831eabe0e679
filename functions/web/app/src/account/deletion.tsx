import { useState } from "preact/hooks";
import { api } from "../api";
import { forgetAll } from "../files/cache";
import { t } from "../i18n";
import { account } from "../session";
import { Dialog, openDialog } from "../ui";
import { forgetUploads } from "../uploads/start";
import { passwordProblem } from "./check";
import { Field, PasswordField, Problem, SubmitButton, useFocusOnError, useSubmit } from "./form";
import { isWrongPassword, tooMany } from "./password";

/** Asks whether the account is to be deleted, and deletes it. */
export async function openDeletion(): Promise<void> {
  if (!(await openDialog<true>((close) => <Deletion close={close} />))) return;
  // The session ended with the account; this takes away what the browser keeps of it.
  await fetch("/web/session", { method: "DELETE", headers: { "X-Requested-With": "files-manager" } }).catch(() => null);
  forgetAll();
  forgetUploads();
  location.hash = "";
  location.reload();
}

interface Wrong { password?: string | null; email?: string | null }

function Deletion({ close }: { close: (deleted?: true) => void }) {
  const email = account.peek()!.email;
  const [typed, setTyped] = useState("");
  const [password, setPassword] = useState("");
  const [wrong, setWrong] = useState<Wrong>({});
  const [attempt, setAttempt] = useState(0);
  const fields = useFocusOnError(attempt);
  const refuse = (problem: Wrong) => { setWrong(problem); setAttempt((before) => before + 1); };

  const { busy, problem, submit } = useSubmit(async () => {
    const problems = { email: typed.trim() === email ? null : t("account.deleteTypeWrong"), password: passwordProblem(password) };
    refuse(problems);
    if (problems.email || problems.password) return;
    try {
      await api.delete("/users/me", { body: { password } });
      close(true);
    } catch (error) {
      if (!isWrongPassword(error)) throw error;
      refuse({ password: t("account.wrongPassword") });
    }
  }, tooMany);

  return (
    <Dialog title={t("account.deleteTitle")} onClose={() => close()} onSubmit={submit} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <SubmitButton class="button danger" busy={busy}>{t("account.deleteForever")}</SubmitButton>
    </>}>
      <div class="stack" ref={fields}>
        <p>{t("account.deleteText")}</p>
        <Field label={t("account.deleteType", { email })} error={wrong.email}>
          {(own) => <input {...own} type="text" value={typed} autocomplete="off" autocapitalize="off" spellcheck={false} dir="ltr" autofocus
            onInput={(event) => setTyped(event.currentTarget.value)} />}
        </Field>
        <PasswordField label={t("account.currentPassword")} value={password} onInput={setPassword} error={wrong.password} autocomplete="current-password" />
        <Problem>{problem}</Problem>
      </div>
    </Dialog>
  );
}
