import { useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { Icon } from "../ui";
import { LanguageField } from "./appearance";
import { Credentials, type Mode } from "./credentials";

const modes: Mode[] = ["signIn", "signUp"];

/** Signing in and up, while nobody is signed in. */
export function SignInScreen() {
  const [mode, setMode] = useState<Mode>("signIn");
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <Brand />
        <Tabs mode={mode} choose={setMode} />
        <div role="tabpanel" id="sign-in-panel" aria-labelledby={`tab-${mode}`}>
          <Credentials mode={mode} onTaken={() => setMode("signIn")} />
        </div>
      </div>
      <div class="sign-in-language"><LanguageField /></div>
    </main>
  );
}

function Brand() {
  return (
    <header class="sign-in-brand">
      <span class="logo"><Icon name="folder" size={30} /></span>
      <h1>{t("core.title")}</h1>
      <p>{t("account.welcome")}</p>
    </header>
  );
}

function Tabs({ mode, choose }: { mode: Mode; choose: (mode: Mode) => void }) {
  const tabs = useRef<HTMLDivElement>(null);
  function onKey(event: KeyboardEvent) {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const next = event.key === "Home" ? modes[0]! : event.key === "End" ? modes[1]! : modes[1 - modes.indexOf(mode)]!;
    choose(next);
    tabs.current!.querySelector<HTMLElement>(`#tab-${next}`)!.focus();
  }
  return (
    <div class="segments" role="tablist" aria-label={t("account.modes")} ref={tabs} onKeyDown={onKey}>
      {modes.map((name) => (
        <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={mode === name} aria-controls="sign-in-panel"
          tabIndex={mode === name ? 0 : -1} onClick={() => choose(name)}>{t(`account.${name}`)}</button>
      ))}
    </div>
  );
}
