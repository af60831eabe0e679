import { addStyles, lazy } from "../ui";
import css from "./account.lazy.css";

addStyles(css);

export { ConnectionBanner } from "./banner";
export { SessionDialog } from "./session-dialog";
export { SignInScreen } from "./sign-in";
export { UsageBar } from "./usage";
/** Is a chunk of its own, because the other parts are needed at each start. */
export const AccountScreen = lazy(() => import("./screen").then((module) => module.AccountScreen));
