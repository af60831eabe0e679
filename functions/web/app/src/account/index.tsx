import { useState } from "preact/hooks";
import { signIn, signUp } from "../session";

/** Signing in and up, while nobody is signed in. */
export function SignInScreen() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  return (
    <form onSubmit={(event) => { event.preventDefault(); void signIn(email, password); }}>
      <input type="email" aria-label="Email" value={email} onInput={(event) => setEmail(event.currentTarget.value)} />
      <input type="password" aria-label="Password" value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
      <button>Sign in</button>
      <button type="button" onClick={() => void signUp(email, password)}>Sign up</button>
    </form>
  );
}
export function AccountScreen() { return null; }
export function UsageBar() { return null; }
/** Signing in again in place; the shell shows it while `sessionLost` is true. */
export function SessionDialog() { return null; }
/** What the shell shows at the top while `connection` is not online. */
export function ConnectionBanner() { return null; }
