import { useState } from "preact/hooks";
import { api, ApiError, type components, type FileDocument } from "../api";
import { type Key as Text, t } from "../i18n";
import { CopyButton } from "../sharing/copy";
import { Dialog, Icon, openDialog } from "../ui";
import { keyNameProblem } from "./check";
import { chooseFolder } from "./folder";
import { Field, Problem, SubmitButton, useFocusOnError, useSubmit } from "./form";

type Scope = components["schemas"]["KeyScope"];
type NewApiKey = components["schemas"]["NewApiKey"];
export const scopes: { scope: Scope; label: Text; text: Text }[] = [
  { scope: "read", label: "account.scopeRead", text: "account.scopeReadText" },
  { scope: "upload", label: "account.scopeUpload", text: "account.scopeUploadText" },
  { scope: "write", label: "account.scopeWrite", text: "account.scopeWriteText" },
];
const lifetimes = [30, 90, 365, 0];
const day = 86_400;

/** Makes an API key and shows it once. Answers whether there is a new one. */
export async function openNewKey(): Promise<boolean> {
  const key = await openDialog<NewApiKey>((close) => <NewKey close={close} />);
  if (!key) return false;
  await openDialog((close) => <Ready of={key} close={close} />);
  return true;
}

function NewKey({ close }: { close: (key?: NewApiKey) => void }) {
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<Scope[]>(["read"]);
  const [folder, setFolder] = useState<FileDocument | null>(null);
  const [days, setDays] = useState(90);
  const [wrong, setWrong] = useState<{ name?: string | null; scopes?: string | null }>({});
  const [attempt, setAttempt] = useState(0);
  const fields = useFocusOnError(attempt);

  const { busy, problem, submit } = useSubmit(async () => {
    const problems = { name: keyNameProblem(name), scopes: chosen.length === 0 ? t("account.keyScopesMissing") : null };
    setWrong(problems);
    setAttempt(attempt + 1);
    if (problems.name || problems.scopes) return;
    const limits = { ...(folder && { parentId: folder.id }), ...(days && { expiresIn: days * day }) };
    close(await api.post("/users/me/keys", { body: { name, scopes: chosen, ...limits } }));
  }, refused);

  return (
    <Dialog title={t("account.newKey")} onClose={() => close()} onSubmit={submit} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <SubmitButton class="button primary" busy={busy}>{t("account.keyCreate")}</SubmitButton>
    </>}>
      <div class="stack" ref={fields}>
        <Field label={t("account.keyName")} hint={t("account.keyNameHint")} error={wrong.name}>
          {(own) => <input {...own} type="text" value={name} autocomplete="off" dir="auto" autofocus onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Scopes chosen={chosen} choose={setChosen} error={wrong.scopes} />
        <FolderChoice folder={folder} choose={setFolder} />
        <Field label={t("account.keyExpiry")}>
          {(own) => <select {...own} value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            {lifetimes.map((count) => <option key={count} value={count}>{lifetime(count)}</option>)}
          </select>}
        </Field>
        <Problem>{problem}</Problem>
      </div>
    </Dialog>
  );
}

function lifetime(days: number): string {
  if (days === 0) return t("account.keyNever");
  return days === 365 ? t("account.keyYear") : t("account.keyDays", { count: days });
}

function refused(error: unknown): string | null {
  if (!(error instanceof ApiError)) return null;
  if (error.status === 409) return t("account.keysFull");
  return error.message.startsWith("Parent") ? t("account.keyFolderGone") : null;
}

function Scopes({ chosen, choose, error }: { chosen: Scope[]; choose: (scopes: Scope[]) => void; error: string | null | undefined }) {
  const turn = (scope: Scope) => choose(chosen.includes(scope) ? chosen.filter((other) => other !== scope) : [...chosen, scope]);
  return (
    <fieldset class="field">
      <legend>{t("account.keyScopes")}</legend>
      {scopes.map(({ scope, label, text }) => (
        <label key={scope} class="option">
          <input type="checkbox" checked={chosen.includes(scope)} aria-invalid={error ? true : undefined} onChange={() => turn(scope)} />
          <span><strong>{t(label)}</strong><span class="muted">{t(text)}</span></span>
        </label>
      ))}
      {error && <p class="field-error" role="alert"><Icon name="warning" size={16} /><span>{error}</span></p>}
    </fieldset>
  );
}

function FolderChoice({ folder, choose }: { folder: FileDocument | null; choose: (folder: FileDocument | null) => void }) {
  const pick = async () => {
    const picked = await chooseFolder(t("account.keyChooseFolder"));
    if (picked !== undefined) choose(picked);
  };
  return (
    <Field label={t("account.keyFolder")}>
      {(own) => (
        <span class="flow">
          <button {...own} type="button" class="button" onClick={() => void pick()}>
            <Icon name="folder" /><span dir="auto" class="ellipsis">{folder ? folder.name : t("account.keyAllFolders")}</span>
          </button>
          {folder && <button type="button" class="link" onClick={() => choose(null)}>{t("account.keyAnyFolder")}</button>}
        </span>
      )}
    </Field>
  );
}

function Ready({ of: { key, name }, close }: { of: NewApiKey; close: () => void }) {
  return (
    <Dialog title={t("account.keyReady")} onClose={close} actions={<button class="button">{t("account.keyDone")}</button>}>
      <div class="stack">
        <p class="problem notice"><Icon name="key" /><span>{t("account.keyOnce")}</span></p>
        <Field label={t("account.keyValue", { name })}>
          {(own) => (
            <span class="field-joined">
              <input {...own} type="text" readOnly value={key} dir="ltr" class="code" onFocus={(event) => event.currentTarget.select()} />
              <CopyButton text={key} label={t("account.keyCopy")} done={t("account.keyCopied")} />
            </span>
          )}
        </Field>
      </div>
    </Dialog>
  );
}
