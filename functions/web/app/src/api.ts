import { signal } from "@preact/signals";
import { Client } from "../../sdk";

export * from "../../sdk";

export type Connection =
  | { state: "online" | "offline" | "unavailable" }
  /** Too many requests; `until` is the time in milliseconds from which on they are accepted again. */
  | { state: "limited"; until: number };

/** What the last answers of the API say about the way to it. */
export const connection = signal<Connection>({ state: navigator.onLine ? "online" : "offline" });
addEventListener("offline", () => { connection.value = { state: "offline" }; });
addEventListener("online", () => { connection.value = { state: "online" }; });

function onOutcome(status: number, retryAfter = 1): void {
  if (status === 0) connection.value = { state: navigator.onLine ? "unavailable" : "offline" };
  else if (status === 503) connection.value = { state: "unavailable" };
  else if (status === 429) connection.value = { state: "limited", until: Date.now() + 1000 * retryAfter };
  else if (connection.peek().state !== "online") connection.value = { state: "online" };
}

/** Set by the session. Requests wait until it is `ready`; `renew` gets another token, and answers whether there is one. */
export const session = { ready: Promise.resolve() as Promise<unknown>, renew: async (): Promise<boolean> => false };

export const api = new Client({
  retries: 5,
  onOutcome,
  ready: () => session.ready,
  onUnauthorized: () => session.renew(),
});
