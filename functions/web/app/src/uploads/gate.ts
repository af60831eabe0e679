import { ApiError, connection } from "../api";

/** The longest time between two attempts during an outage, in milliseconds. */
const LONGEST = 30_000;

let opens = 0;
let failures = 0;
let lastSuccess = 0;
let wake: (() => void)[] = [];

// Another request was answered.
connection.subscribe(({ state }) => {
  if (state !== "online") return;
  opens = 0;
  for (const go of wake) go();
});

/** Resolves when requests may be sent: at once, or after an outage. */
export async function gate(): Promise<void> {
  for (let left = opens - Date.now(); left > 0; left = opens - Date.now()) {
    await new Promise<void>((resolve) => {
      wake.push(resolve);
      setTimeout(resolve, left);
    });
  }
  wake = [];
}

/** All requests wait: longer after each failure, and at least as long as the API asks for. */
export function hold(retryAfter = 0): void {
  // Requests of the same moment fail together.
  if (opens <= Date.now()) failures++;
  opens = Math.max(opens, Date.now() + Math.max(1000 * retryAfter, Math.min(LONGEST, 500 * 2 ** failures)));
}

export function succeeded(): void {
  failures = 0;
  lastSuccess = Date.now();
}

/** True if other requests have succeeded since: then it is no outage. */
export const othersSucceededSince = (time: number): boolean => lastSuccess > time;

/** No answer, or one that says that the same request may succeed later. */
export function isOutage(error: unknown): error is ApiError {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500) && error.status !== 507;
}
