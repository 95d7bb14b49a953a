// A client of a kotaemon cluster, for browsers and for Node 18 or newer. The cluster's page uses it.
//
//   const client = new Client({ endpoint: "https://…", apiKey: "…" });
//   const session = await client.createSession();
//   const stream = session.streamMessage("How long is the warranty on lamps?");
//   for await (const frame of stream) console.log(frame.type, stream.text);
//
// A stream goes on by itself when a pod dies, leaves or falls silent, on whichever pod answers next:
// under the same turn id, behind the last frame that arrived.
import { ApiError, ConnectionLost } from "./errors.js";
import { followTurn } from "./follow.js";
import { Http, newId } from "./http.js";
import { followSession } from "./session-stream.js";
import { textAfter, wholeText } from "./text.js";
import { pauseOrOnline } from "./waiting.js";

export { ApiError, ConnectionLost, newId };

const TRIES = 3;
const TURN_TRIES = 5; // to read what an answer became: the pod of its stream may just have died
const AGAIN_MS = 300;
const RETRY_AFTER_MAX_MS = 15_000;

const part = encodeURIComponent;
const sessionPath = (sid) => `/v1/sessions/${part(sid)}`;
const turnPath = (sid, tid) => `${sessionPath(sid)}/turns/${part(tid)}`;

/**
 * @typedef {object} MessageOptions
 * @property {string} [turnId] name the turn yourself: the same id twice is one turn
 * @property {string} [kb] the knowledge base to answer from
 * @property {number} [minGeneration] a generation of it that must be served
 * @property {string[]} [intentFilter] the intents that plugins may answer; [] takes none
 * @property {"enqueue" | "reject" | "interrupt"} [onBusy] where another turn runs
 * @property {boolean} [submitted] false (default): this call sends the message; true: only follow
 * @property {AbortSignal} [signal] ends the wait, not the turn: see `cancel`
 * @property {(link: import("./follow.js").Link) => void} [onLink] how the connection is
 */

export class Client {
  /**
   * @param {object} [config]
   * @param {string} [config.endpoint] address of the cluster; a page of its own leaves it out
   * @param {string} [config.apiKey]
   * @param {number} [config.timeoutMs] of a request that is no stream
   * @param {number} [config.tries] of a request that is no stream and that may be sent twice; 3
   * @param {typeof fetch} [config.fetch]
   * @param {() => void} [config.onUnauthenticated]
   */
  constructor({ tries = TRIES, ...config } = {}) {
    this.tries = tries;
    this.http = new Http(config);
  }

  /**
   * One request to a route that has no method here.
   * @param {object} [options]
   * @param {boolean} [options.repeat] whether it may be sent twice; without a word only GET may
   * @param {number} [options.tries]
   * @param {AbortSignal} [options.signal]
   * @param {Record<string, string>} [options.headers]
   * @throws {ApiError}
   */
  json(method, path, body, { repeat = method === "GET", tries = this.tries, ...options } = {}) {
    const send = () => this.http.json(method, path, body, options);
    return again(send, repeat ? tries : 1, options.signal);
  }

  /**
   * @param {{userId?: string, channel?: string, context?: object, idempotencyKey?: string}} [about]
   *   the same key again finds the session that it made
   * @returns {Promise<Session>}
   */
  async createSession({ userId, channel, context, idempotencyKey = newId() } = {}) {
    const about = defined({ user_id: userId, channel, context });
    const headers = { "Idempotency-Key": idempotencyKey };
    return new Session(this, await this.#repeated("POST", "/v1/sessions", about, { headers }));
  }

  /** The caller's sessions, newest first: `{sessions, next_offset}`. */
  sessions({ offset = 0, limit = 50 } = {}) {
    return this.json("GET", `/v1/sessions?offset=${offset}&limit=${limit}`);
  }

  /** A session with its turns behind a version. */
  session(sid, { afterVersion = 0, limit = 200 } = {}) {
    return this.json("GET", `${sessionPath(sid)}?after_version=${afterVersion}&limit=${limit}`);
  }

  deleteSession(sid) {
    return this.#repeated("DELETE", sessionPath(sid));
  }

  /** A turn in whatever state it is. */
  turn(sid, tid) {
    return this.json("GET", turnPath(sid, tid));
  }

  /**
   * Say something and wait for the finished turn, over any number of pods.
   * @param {string} sid @param {string} text @param {MessageOptions} [options]
   * @returns {Promise<object>} the turn: `{turn_id, state, answer, sources, …}`
   * @throws {ApiError | ConnectionLost}
   */
  async sendMessage(sid, text, options = {}) {
    const stream = this.streamMessage(sid, text, options);
    for await (const _frame of stream); // to its end
    const { signal } = options;
    return this.json("GET", turnPath(sid, stream.turnId), undefined, { tries: TURN_TRIES, signal });
  }

  /**
   * Say something and follow the answer.
   * @param {string} sid @param {string} text @param {MessageOptions} [options]
   * @returns {TurnStream}
   */
  streamMessage(sid, text, options = {}) {
    const { turnId = newId(), kb, minGeneration, intentFilter, onBusy } = options;
    const body = defined({
      message: text, turn_id: turnId, kb, min_generation: minGeneration,
      intent_filter: intentFilter, on_busy: onBusy,
    });
    const submit = (signal) =>
      this.http.stream("POST", `${sessionPath(sid)}/turns`, { body, signal });
    return new TurnStream(turnId, { ...this.#means(sid, turnId), submit }, options);
  }

  /**
   * Follow a turn that somebody else began, from a frame's number on; `text` is that of the answer
   * up to there. Without it the stream's text is only what comes, until `done` tells the whole.
   * @param {{after?: number, text?: string, signal?: AbortSignal, onLink?: Function}} [options]
   * @returns {TurnStream}
   */
  followTurn(sid, turnId, options = {}) {
    return new TurnStream(turnId, this.#means(sid, turnId), options);
  }

  /**
   * All that happens in a session behind a version, for as long as somebody looks.
   * @returns {AsyncGenerator<object, boolean>} true at its end: read the session again
   */
  followSession(sid, { afterVersion = 0, signal = never(), onLink } = {}) {
    const open = ({ lastId, afterVersion: version }, connection) =>
      this.http.stream("GET", `${sessionPath(sid)}/stream?after_version=${version}`, {
        headers: lastId ? { "Last-Event-ID": lastId } : {}, signal: connection,
      });
    return followSession({ open, afterVersion, signal, onLink });
  }

  /** End a turn; it keeps the text that was shown. */
  cancel(sid, tid) {
    return this.#repeated("POST", `${turnPath(sid, tid)}/cancel`, {});
  }

  /** @param {{rating: "up" | "down", comment?: string}} said the last word counts */
  feedback(sid, tid, { rating, comment = "" }) {
    return this.#repeated("POST", `${turnPath(sid, tid)}/feedback`, defined({ rating, comment }));
  }

  /** Give the session to a person. */
  handOff(sid, { reason } = {}) {
    return this.#repeated("POST", `${sessionPath(sid)}/handoff`, defined({ reason }));
  }

  /** Give it back to the assistant. */
  handBack(sid) {
    return this.#repeated("POST", `${sessionPath(sid)}/handback`, {});
  }

  /** The best passages: `{generation, passages}`. */
  search(q, { kb, topK, minGeneration } = {}) {
    const query = new URLSearchParams(defined({ q, kb, top_k: topK, min_generation: minGeneration }));
    return this.json("GET", `/v1/search?${query}`);
  }

  /** The document behind one of an answer's `sources`, as it was then, with the cited `span`. */
  source(doc) {
    return this.json("GET", sourcePath(doc));
  }

  me() {
    return this.json("GET", "/v1/me");
  }

  /** Says what holds afterwards, or carries a key: sent twice it is the same. */
  #repeated(method, path, body, options = {}) {
    return this.json(method, path, body, { repeat: true, ...options });
  }

  #means(sid, turnId) {
    const resume = (after, signal) =>
      this.http.stream("GET", `${turnPath(sid, turnId)}/stream`, {
        headers: after > 0 ? { "Last-Event-ID": `${turnId}:${after}` } : {}, signal,
      });
    return { submit: null, resume };
  }
}

/** A session that was just made: `Client`'s methods without its id. */
export class Session {
  constructor(client, told) {
    this.client = client;
    this.id = told.session_id;
    this.epoch = told.epoch;
  }

  sendMessage(text, options) {
    return this.client.sendMessage(this.id, text, options);
  }

  streamMessage(text, options) {
    return this.client.streamMessage(this.id, text, options);
  }

  cancel(turnId) {
    return this.client.cancel(this.id, turnId);
  }

  feedback(turnId, said) {
    return this.client.feedback(this.id, turnId, said);
  }

  history(options) {
    return this.client.session(this.id, options);
  }

  delete() {
    return this.client.deleteSession(this.id);
  }
}

/** The frames of one turn, to be read once; and its text so far, whole at every frame. */
export class TurnStream {
  #means;
  #options;
  #answer;

  constructor(turnId, means, options) {
    this.turnId = turnId;
    this.#means = means;
    this.#options = options;
    this.#answer = wholeText(options.text ?? "");
  }

  /** The answer so far, behind `text` where the stream began with `after`: right also after a `restart`, a `snapshot`, or a loss of the store. */
  get text() {
    return this.#answer.text;
  }

  async* [Symbol.asyncIterator]() {
    const { signal = never(), onLink, submitted, after, text } = this.#options;
    const frames = followTurn({
      turnId: this.turnId, means: this.#means, signal, onLink, submitted, after, text,
    });
    for await (const frame of frames) {
      this.#answer = textAfter(this.#answer, frame);
      yield frame;
    }
    signal.throwIfAborted();
  }
}

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

/** Ask, and again where a pod could not answer just then. */
async function again(ask, tries, signal = never()) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!error.retryable || tried >= tries || signal.aborted) throw error;
      const askedMs = Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_MAX_MS);
      await pauseOrOnline(Math.max(askedMs, AGAIN_MS * tried), signal);
      signal.throwIfAborted();
    }
  }
}

const never = () => new AbortController().signal;

const defined = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
