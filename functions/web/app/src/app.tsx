import { render } from "preact";
import { startLocale } from "./i18n";
import { startSession, state } from "./session";
import { Shell } from "./shell";
import { startTheme } from "./theme";
import { lazy, Toasts } from "./ui";

const SignIn = lazy(() => import("./parts").then((module) => module.SignInScreen));

const ConnectionBanner = lazy(() => import("./parts").then((module) => module.ConnectionBanner));

function App() {
  if (state.value === "starting") return null;
  return <>{state.value === "signedOut" ? <><ConnectionBanner /><SignIn /></> : <Shell />}<Toasts /></>;
}

startTheme();
// Nothing is awaited at the top: the page would count as loading until then.
void startLocale().then(() => {
  render(<App />, document.getElementById("app")!);
  void startSession();
});
