import { signal } from "@preact/signals";
import { type Account, api, ApiError, session } from "./api";

export const account = signal<Account | null>(null);
export const state = signal<"starting" | "signedOut" | "signedIn">("starting");
/** True while the session is over and the user has not signed in again. Requests wait for that. */
export const sessionLost = signal(false);

const own = { "X-Requested-With": "files-manager" };
let waiting: ((again: boolean) => void)[] = [];
let renewing: Promise<boolean> | null = null;

/** The token of the session that the cookie keeps, or null if it is over. */
async function refresh(): Promise<string | null> {
  const response = await fetch("/web/session/refresh", { method: "POST", headers: own });
  if (response.status === 401) return null;
  if (!response.ok) throw new ApiError(response.status, response.statusText);
  return ((await response.json()) as { token: string }).token;
}

function askAgain(): Promise<boolean> {
  sessionLost.value = true;
  return new Promise((resolve) => waiting.push(resolve));
}

async function renew(): Promise<boolean> {
  const token = await refresh();
  if (!token) return askAgain();
  // With the same token the session is alive, and the 401 was about something else, such as a wrong password.
  const other = token !== api.token;
  api.token = token;
  return other;
}

session.renew = () => {
  if (state.peek() !== "signedIn") return Promise.resolve(false);
  renewing ??= renew().catch(() => false).finally(() => { renewing = null; });
  return renewing;
};

function settle(again: boolean): void {
  sessionLost.value = false;
  for (const resolve of waiting) resolve(again);
  waiting = [];
}

/** Says that there may be a cookie with a session: without it, a first visit need not ask. */
const hint = "files-manager.session";

/** Takes up the session that the cookie keeps over a reload. Throws if the API does not answer. */
export async function startSession(): Promise<void> {
  api.token = localStorage.getItem(hint) ? await refresh() : null;
  if (api.token) return enter();
  localStorage.removeItem(hint);
  state.value = "signedOut";
}

async function enter(): Promise<void> {
  account.value = await api.get("/users/me");
  localStorage.setItem(hint, "1");
  state.value = "signedIn";
}

/** The header of HTTP Basic for any e-mail address and password. */
export function basic(email: string, password: string): string {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${email}:${password}`)))}`;
}

/** Opens a session, and keeps it in a cookie. Throws an `ApiError`: 401 for a wrong password, 429 after too many. */
export async function signIn(email: string, password: string): Promise<void> {
  const before = account.peek()?.id;
  const { token } = await api.get("/connect", { headers: { Authorization: basic(email, password) } });
  api.token = token;
  await api.send("/web/session", { method: "POST" });
  await enter();
  // Another account must see nothing of the one before.
  if (before && before !== account.peek()?.id) location.reload();
  settle(true);
}

/** Opens an account and a session. Throws an `ApiError`: 400 says what is wrong. */
export async function signUp(email: string, password: string): Promise<void> {
  await api.post("/users", { body: { email, password } });
  await signIn(email, password);
}

/** Ends the session here and on the server, with what the browser keeps of it. */
export async function signOut(): Promise<void> {
  await api.send("/web/session", { method: "DELETE", headers: own });
  api.token = null;
  localStorage.removeItem(hint);
  location.hash = "";
  location.reload();
}
