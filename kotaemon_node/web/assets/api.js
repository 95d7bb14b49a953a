// The HTTP interface as functions: one per route, all errors in one form.

const JSON_TIMEOUT_MS = 15_000;
const ID_BYTES = 16;

/** What the server said no with, or that it could not be reached (`code` "network"). */
export class ApiError extends Error {
  constructor({ code, message, status = 0, retryable = false, retryAfterMs = null, traceId = "" }) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
    this.traceId = traceId;
  }
}

/** @returns {string} an id of 128 random bits that the server accepts */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let tellRefused = () => {};

/** Have `tell` called whenever the server wants to know who asks (401). */
export function whenRefused(tell) {
  tellRefused = tell;
}

const part = encodeURIComponent;
const sessionPath = (sid) => `/v1/sessions/${part(sid)}`;
const turnPath = (sid, tid) => `${sessionPath(sid)}/turns/${part(tid)}`;

export const api = {
  createSession: () => json("POST", "/v1/sessions", {}),
  sessions: ({ offset = 0, limit = 50 } = {}) =>
    json("GET", `/v1/sessions?offset=${offset}&limit=${limit}`),
  session: (sid, { afterVersion = 0, limit = 200 } = {}) =>
    json("GET", `${sessionPath(sid)}?after_version=${afterVersion}&limit=${limit}`),
  deleteSession: (sid) => json("DELETE", sessionPath(sid)),
  turn: (sid, tid) => json("GET", turnPath(sid, tid)),
  cancel: (sid, tid) => json("POST", `${turnPath(sid, tid)}/cancel`, {}),
  rate: (sid, tid, rating) => json("POST", `${turnPath(sid, tid)}/feedback`, { rating }),
  handOff: (sid) => json("POST", `${sessionPath(sid)}/handoff`, {}),
  handBack: (sid) => json("POST", `${sessionPath(sid)}/handback`, {}),
  cluster: () => json("GET", "/v1/cluster"),
  me: () => json("GET", "/v1/me"),
  logIn: (key) => json("POST", "/v1/login", { key }),
  logOut: () => json("POST", "/v1/logout", {}),
  faq: (kb, { wanted = "", offset = 0, limit = 50, minGeneration = 0 } = {}) =>
    json("GET", `/v1/faq?kb=${part(kb)}&q=${part(wanted)}&offset=${offset}&limit=${limit}`
      + `&min_generation=${minGeneration}`),
  putFaq: (kb, id, entry) => json("PUT", `/v1/faq/${part(id)}?kb=${part(kb)}`, entry),
  deleteFaq: (kb, id) => json("DELETE", `/v1/faq/${part(id)}?kb=${part(kb)}`),
  drafts: (kb) => json("GET", `/v1/faq/drafts?kb=${part(kb)}`),
  acceptDraft: (kb, id, entry) =>
    json("POST", `/v1/faq/drafts/${part(id)}/accept?kb=${part(kb)}`, entry),
  dismissDraft: (kb, id) => json("DELETE", `/v1/faq/drafts/${part(id)}?kb=${part(kb)}`),
  job: (id) => json("GET", `/v1/jobs/${part(id)}`),
  source: (doc) => json("GET", sourcePath(doc)),

  /** Begin a turn, or attach to it when the server knows its id. Resolves with the headers. */
  startTurn: (sid, { turnId, message }, signal) =>
    streaming("POST", `${sessionPath(sid)}/turns`, {
      body: { message, turn_id: turnId },
      signal,
    }),
  /** All that happens in a session behind a frame, else behind a version. Resolves with headers. */
  followSession: (sid, { lastId, afterVersion }, signal) =>
    streaming("GET", `${sessionPath(sid)}/stream?after_version=${afterVersion}`, {
      headers: lastId ? { "Last-Event-ID": lastId } : {},
      signal,
    }),
  /** Frames of a turn after number `after`. Resolves with the headers. */
  followTurn: (sid, turnId, after, signal) =>
    streaming("GET", `${turnPath(sid, turnId)}/stream`, {
      headers: after > 0 ? { "Last-Event-ID": `${turnId}:${after}` } : {},
      signal,
    }),
};

/** The address of a cited passage; one outside `/v1/sources/` is never fetched. */
export function sourcePath(doc) {
  if (typeof doc.url === "string" && doc.url.startsWith("/v1/sources/")) return doc.url;
  return `/v1/sources/${part(doc.kb)}/${part(doc.generation)}/${part(doc.id)}`;
}

/** The address of the same as a page of its own, which brings the quotes into view. */
export function sourcePage(doc) {
  const named = (doc.quotes ?? []).map(([from, to]) => `${from}-${to}`).join(",");
  return `${sourcePath(doc)}${named && `?quote=${named}`}#cited`;
}

async function json(method, path, body) {
  const response = await reach(path, {
    method,
    headers: { Accept: "application/json", ...contentType(body) },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(JSON_TIMEOUT_MS),
  });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? null : response.json();
}

async function streaming(method, path, { body, headers = {}, signal }) {
  const response = await reach(path, {
    method,
    headers: { Accept: "text/event-stream", ...contentType(body), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function reach(path, request) {
  try {
    return await fetch(path, { credentials: "same-origin", ...request });
  } catch (error) {
    if (request.signal?.aborted && error.name === "AbortError") throw error;
    throw new ApiError({ code: "network", message: String(error.message), retryable: true });
  }
}

const contentType = (body) => (body === undefined ? {} : { "Content-Type": "application/json" });

async function refusal(response) {
  if (response.status === 401) tellRefused();
  const told = await response.json().then((value) => value?.error ?? {}, () => ({}));
  const seconds = Number(response.headers.get("Retry-After") || Number.NaN);
  return new ApiError({
    code: told.code ?? `http_${response.status}`,
    message: told.message ?? response.statusText,
    status: response.status,
    retryable: told.retryable ?? response.status >= 500,
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : null,
    traceId: told.trace_id ?? response.headers.get("X-Trace-ID") ?? "",
  });
}
