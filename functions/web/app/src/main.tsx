import { render } from "preact";
import { startLocale } from "./i18n";
import { startSession, state } from "./session";
import { Shell } from "./shell";
import { lazy } from "./ui";
import "./styles/tokens.css";
import "./styles/base.css";

const SignIn = lazy(() => import("./account").then((module) => module.SignInScreen));

function App() {
  if (state.value === "starting") return null;
  return state.value === "signedOut" ? <SignIn /> : <Shell />;
}

await startLocale();
render(<App />, document.getElementById("app")!);
await startSession();
