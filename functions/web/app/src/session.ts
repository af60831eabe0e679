import { signal } from "@preact/signals";
import { type Account, api, ApiError, connection, session } from "./api";
import { forgetAll } from "./files/cache";
import { forgetUploads } from "./uploads/start";

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
  const before = api.token;
  if (!(await resume())) return askAgain();
  // With the same token the session is alive, and the 401 was about something else, such as a wrong password.
  return api.token !== before;
}

session.renew = () => {
  if (state.peek() !== "signedIn") return Promise.resolve(false);
  renewing ??= renew().finally(() => { renewing = null; });
  return renewing;
};

function settle(again: boolean): void {
  sessionLost.value = false;
  for (const resolve of waiting) resolve(again);
  waiting = [];
}

/** The account of the session that there may be a cookie for. Without it, a first visit need not ask. */
const stored = "files-manager.account";

function remembered(): Account | null {
  try {
    return JSON.parse(localStorage.getItem(stored) ?? "null") as Account | null;
  } catch {
    return null;
  }
}

/** Forgets what this browser keeps of the account. */
function forget(): void {
  api.token = null;
  localStorage.removeItem(stored);
  forgetAll();
}

/** Gets the token of the cookie. Tries again until the API answers; answers whether there is a session. */
async function resume(pause = 1): Promise<boolean> {
  try {
    api.token = await refresh();
    return api.token !== null;
  } catch {
    connection.value = { state: navigator.onLine ? "unavailable" : "offline" };
    await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
    return resume(Math.min(2 * pause, 15));
  }
}

/** Lets the requests go that wait for a session. */
let start = () => {};

/** Takes up the session that the cookie keeps over a reload. Until the API has answered, the app shows what it remembers. */
export async function startSession(): Promise<void> {
  const known = remembered();
  if (!known) return void (state.value = "signedOut");
  session.ready = new Promise<void>((resolve) => { start = resolve; });
  account.value = known;
  state.value = "signedIn";
  if (await resume()) {
    start();
    if (connection.peek().state !== "online") connection.value = { state: "online" };
    await enter().catch(() => {});
  } else {
    forget();
    state.value = "signedOut";
  }
}

async function enter(): Promise<void> {
  const before = account.peek()?.id;
  const now = await api.get("/users/me");
  localStorage.setItem(stored, JSON.stringify(now));
  if (before && before !== now.id) {
    // Another account must see nothing of the one before.
    forgetAll();
    location.reload();
  }
  account.value = now;
  state.value = "signedIn";
}

/** The header of HTTP Basic for any e-mail address and password. */
export function basic(email: string, password: string): string {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${email}:${password}`)))}`;
}

/** Opens a session, and keeps it in a cookie. Throws an `ApiError`: 401 for a wrong password, 429 after too many. */
export async function signIn(email: string, password: string): Promise<void> {
  const { token } = await api.get("/connect", { headers: { Authorization: basic(email, password) } });
  api.token = token;
  start();
  await api.send("/web/session", { method: "POST" });
  await enter();
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
  forget();
  forgetUploads();
  location.hash = "";
  location.reload();
}
