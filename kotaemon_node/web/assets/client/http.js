// Requests and their answers: credentials, time limits, and all errors in one form.
import { ApiError } from "./errors.js";

const TIMEOUT_MS = 15_000;
const ID_BYTES = 16;
// A browser and Node 19 have it; Node 18 keeps it in a module.
const crypto = globalThis.crypto ?? (await import("node:crypto")).webcrypto;

/** @returns {string} an id of 128 random bits that the server accepts */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Http {
  /**
   * @param {object} [config]
   * @param {string} [config.endpoint] address of the cluster; in a page of its own, "" is the same
   * @param {string} [config.apiKey] sent as a bearer token; without one a browser sends its cookie
   * @param {number} [config.timeoutMs] of a request that is no stream
   * @param {typeof fetch} [config.fetch]
   * @param {() => void} [config.onUnauthenticated] told when the server wants to know who asks
   */
  constructor({
    endpoint = "", apiKey = "", timeoutMs = TIMEOUT_MS, fetch: reach, onUnauthenticated,
  } = {}) {
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.headers = apiKey === "" ? {} : { Authorization: `Bearer ${apiKey}` };
    this.timeoutMs = timeoutMs;
    this.reach = reach ?? ((...request) => globalThis.fetch(...request));
    this.onUnauthenticated = onUnauthenticated ?? (() => {});
  }

  /**
   * One request and its answer as JSON; null where it has none.
   * @param {object} [options]
   * @param {AbortSignal} [options.signal]
   * @throws {ApiError}
   */
  async json(method, path, body, { signal, headers = {} } = {}) {
    const limit = new AbortController();
    const late = setTimeout(() => limit.abort(), this.timeoutMs);
    const abort = () => limit.abort();
    signal?.addEventListener("abort", abort);
    try {
      const response = await this.send(method, path, {
        body, headers: { Accept: "application/json", ...headers }, signal: limit.signal,
      });
      return response.status === 204 ? null : await response.json();
    } catch (error) {
      if (error instanceof ApiError || signal?.aborted) throw error;
      throw new ApiError({ code: "network", message: String(error.message), retryable: true });
    } finally {
      clearTimeout(late);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** A response whose body is a stream of events; resolves with the headers. @throws {ApiError} */
  stream(method, path, { body, headers = {}, signal }) {
    return this.send(method, path, {
      body, headers: { Accept: "text/event-stream", ...headers }, signal, cache: "no-store",
    });
  }

  async send(method, path, { body, headers, ...options }) {
    const hasBody = body !== undefined;
    const request = {
      method,
      credentials: "same-origin",
      ...options,
      headers: { ...this.headers, ...(hasBody && { "Content-Type": "application/json" }), ...headers },
      body: hasBody ? JSON.stringify(body) : undefined,
    };
    let response;
    try {
      response = await this.reach(this.endpoint + path, request);
    } catch (error) {
      if (request.signal?.aborted && error.name === "AbortError") throw error;
      throw new ApiError({ code: "network", message: String(error.message), retryable: true });
    }
    if (response.ok) return response;
    if (response.status === 401) this.onUnauthenticated();
    throw await refusal(response);
  }
}

async function refusal(response) {
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
