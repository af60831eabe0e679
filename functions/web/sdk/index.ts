import type { components, paths } from "./schema";

export type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type FileDocument = Schemas["File"];
export type FoundFile = Schemas["Found"];
export type BatchResult = Schemas["BatchResult"];
export type Version = Schemas["Version"];
export type PathStep = Schemas["PathStep"];
export type FolderUsage = Schemas["FolderUsage"];
export type Usage = Schemas["Usage"];
export type Account = Schemas["Account"];

export type Method = "get" | "post" | "put" | "patch" | "delete";
/** The paths that have a method. */
export type PathsWith<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;

type Parameters<O, In extends string> = O extends { parameters: { [K in In]?: infer V } } ? Exclude<V, undefined> : never;
type Body<O> = O extends { requestBody?: { content: infer C } } ? C[keyof C] : never;
type Field<Name extends string, V> = [V] extends [never] ? { [K in Name]?: undefined } : {} extends V ? { [K in Name]?: V } : { [K in Name]: V };

export type Options<P extends keyof paths, M extends Method> = Field<"path", Parameters<Operation<P, M>, "path">> &
  Field<"query", Parameters<Operation<P, M>, "query">> & {
    body?: Body<Operation<P, M>>;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  };
type Content<R> = R extends { content: { "application/json": infer J } } ? J : undefined;
type Responses<O> = O extends { responses: infer R } ? R : never;
export type Answer<P extends keyof paths, M extends Method> = {
  [S in keyof Responses<Operation<P, M>> & (200 | 201 | 202 | 204)]: Content<Responses<Operation<P, M>>[S]>;
}[keyof Responses<Operation<P, M>> & (200 | 201 | 202 | 204)];
type Arguments<P extends keyof paths, M extends Method> = {} extends Options<P, M> ? [options?: Options<P, M>] : [options: Options<P, M>];

/** An answer that says what is wrong: `message` is its `error`. `status` is 0 if no answer came. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(
    readonly status: number,
    message: string,
    /** Seconds to wait, from `Retry-After`. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

export interface ClientOptions {
  /** The address of the API, without a slash at its end; "" in a page of the same origin. */
  baseUrl?: string;
  token?: string | null;
  /** How often a request is repeated after 503 or without an answer. Only requests that may be repeated are. Default: 3. */
  retries?: number;
  fetch?: typeof fetch;
  /** Is called with each outcome: a status, or 0 if no answer came. */
  onOutcome?: (status: number, retryAfter?: number) => void;
  /** Each request waits for it, unless it has its own `Authorization`. */
  ready?: () => Promise<unknown>;
  /** Is called after a 401. If it resolves to true, the request is sent once more, with the token that is set then. */
  onUnauthorized?: () => Promise<boolean>;
}

const wait = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal!.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });

export class Client {
  token: string | null;
  constructor(private readonly options: ClientOptions = {}) {
    this.token = options.token ?? null;
  }

  get<P extends PathsWith<"get">>(path: P, ...[options]: Arguments<P, "get">) { return this.data("get", path, options); }
  post<P extends PathsWith<"post">>(path: P, ...[options]: Arguments<P, "post">) { return this.data("post", path, options); }
  put<P extends PathsWith<"put">>(path: P, ...[options]: Arguments<P, "put">) { return this.data("put", path, options); }
  patch<P extends PathsWith<"patch">>(path: P, ...[options]: Arguments<P, "patch">) { return this.data("patch", path, options); }
  delete<P extends PathsWith<"delete">>(path: P, ...[options]: Arguments<P, "delete">) { return this.data("delete", path, options); }

  private async data<P extends keyof paths, M extends Method>(method: M, path: P, options?: unknown): Promise<Answer<P, M>> {
    return (await this.request(method, path, options as Options<P, M>)).data;
  }

  /** As the methods above, with the headers of the answer. */
  async request<P extends keyof paths, M extends Method>(method: M, path: P, options?: Options<P, M>): Promise<{ data: Answer<P, M>; headers: Headers }> {
    const { path: steps, query, body, headers, signal } = (options ?? {}) as {
      path?: Record<string, string>; query?: Record<string, unknown>; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal;
    };
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(steps?.[name] ?? ""));
    const search = new URLSearchParams(Object.entries(query ?? {}).filter(([, v]) => v !== undefined).map(([k, v]) => [k, String(v)]));
    const url = filled + (search.size ? `?${search}` : "");
    const sent: Record<string, string> = { ...headers };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    const response = await this.send(url, {
      method: method.toUpperCase(), headers: sent, signal: signal ?? null, body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    return { data: (text ? JSON.parse(text) : undefined) as Answer<P, M>, headers: response.headers };
  }

  /** Sends any request to the API with the token. Repeats it as `retries` says, and throws an `ApiError` unless it succeeds. */
  async send(url: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const { retries = 3, onUnauthorized } = this.options;
    const repeatable = init.method !== "POST" || "Idempotency-Key" in (init.headers ?? {});
    let renewed = "Authorization" in (init.headers ?? {});
    if (!renewed) await this.options.ready?.();
    for (let attempt = 0; ; attempt++) {
      const error = await this.attempt(url, init);
      if (error instanceof Response) return error;
      if (error.status === 401 && onUnauthorized && !renewed && (await onUnauthorized())) {
        renewed = true;
        continue;
      }
      const temporary = error.status === 503 || (error.status === 0 && repeatable);
      if (!temporary || attempt >= retries) throw error;
      await wait(1000 * Math.max(error.retryAfter ?? 0, 0.5 * 2 ** attempt), init.signal ?? undefined);
    }
  }

  private async attempt(url: string, init: RequestInit & { headers?: Record<string, string> }): Promise<Response | ApiError> {
    const { baseUrl = "", onOutcome } = this.options;
    const headers: Record<string, string> = { ...init.headers };
    if (this.token && !headers.Authorization) headers["X-Token"] = this.token;
    let response: Response;
    try {
      response = await (this.options.fetch ?? fetch)(baseUrl + url, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      onOutcome?.(0);
      return new ApiError(0, "No answer");
    }
    const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
    onOutcome?.(response.status, retryAfter);
    if (response.ok) return response;
    const said: unknown = await response.json().catch(() => null);
    const message = (said as { error?: unknown } | null)?.error;
    return new ApiError(response.status, typeof message === "string" ? message : response.statusText, retryAfter);
  }
}

/** The cursor of the next part of a list, from the header `Link`. */
export function nextCursor(headers: Headers): string | null {
  const url = /<([^>]*)>;\s*rel="next"/.exec(headers.get("Link") ?? "")?.[1];
  return url ? new URL(url, "http://host").searchParams.get("cursor") : null;
}
