import { api, ApiError, Client } from "../api";

/**
 * Sends a request that has the password of the account. Its 401 may mean that the password is wrong: unlike `api`, no new
 * session is asked for then. If the session is over, that is asked for first.
 */
export async function withPassword<T>(send: (client: Client) => Promise<T>): Promise<T> {
  await api.get("/users/me");
  return send(new Client({ token: api.token, retries: 0 }));
}

/** The error means that the password is wrong. */
export const isWrongPassword = (error: unknown): boolean => error instanceof ApiError && error.status === 401;
