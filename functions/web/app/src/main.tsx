import { signal } from "@preact/signals";
import { render } from "preact";
import { startLocale, t } from "./i18n";
import { startSession, state } from "./session";
import { Shell } from "./shell";
import { startTheme } from "./theme";
import { Empty, lazy, Toasts } from "./ui";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/files.css";

const SignIn = lazy(() => import("./account").then((module) => module.SignInScreen));

const waiting = signal(false);

function App() {
  if (state.value === "starting") return waiting.value ? <Empty title={t("error.unavailable")} text={t("core.waiting")} /> : null;
  return <>{state.value === "signedOut" ? <SignIn /> : <Shell />}<Toasts /></>;
}

/** Tries again until the API answers: without it there is nothing to show. */
async function enter(pause = 1): Promise<void> {
  try {
    await startSession();
  } catch {
    waiting.value = true;
    setTimeout(enter, 1000 * pause, Math.min(2 * pause, 30));
  }
}

startTheme();
await startLocale();
render(<App />, document.getElementById("app")!);
await enter();
