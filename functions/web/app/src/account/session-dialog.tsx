import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { account, sessionLost } from "../session";
import { openDialog } from "../ui";
import { Credentials } from "./credentials";
import { useOwnId } from "./form";

/** Signing in again in place; the shell shows it while `sessionLost` is true. Esc does not close it. */
export function SessionDialog() {
  useEffect(() => void ask(), []);
  return null;
}

async function ask(): Promise<void> {
  while (sessionLost.peek()) await openDialog((close) => <Again onDone={close} />, "session-over");
}

function Again({ onDone }: { onDone: () => void }) {
  const title = useRef<HTMLHeadingElement>(null);
  const id = useOwnId();
  useEffect(() => {
    const dialog = title.current!.closest("dialog")!;
    dialog.setAttribute("aria-labelledby", id);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.querySelector<HTMLElement>("input[name=password]")?.focus();
  }, []);
  return (
    <div class="dialog-frame">
      <header class="dialog-head"><h2 id={id} ref={title}>{t("account.sessionOver")}</h2></header>
      <div class="dialog-body stack">
        <p>{t("account.sessionOverText")}</p>
        <Credentials mode="signIn" known={account.peek()?.email ?? ""} submit={t("account.continue")} onDone={onDone}>
          <button type="button" class="link" onClick={() => location.reload()}>{t("account.otherAccount")}</button>
        </Credentials>
      </div>
    </div>
  );
}
