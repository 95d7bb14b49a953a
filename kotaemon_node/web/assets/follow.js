// Follow one turn to its end over any number of connections: nothing lost, nothing twice.
//
// Law 1: a frame is handed on only when its number is the one after the last handed on.
// Law 2: whatever breaks, the next request says the last number seen and any pod continues there.
// Law 3: a turn id runs at most once on the server, so repeating the POST is always safe.
import { ApiError, api } from "./api.js";
import { readEvents } from "./sse.js";

const HEARTBEAT_RUNNING_MS = 2_000;
const HEARTBEAT_IDLE_MS = 20_000;
const MISSED_HEARTBEATS = 3;
const HEADERS_WITHIN_MS = 10_000;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 5_000;
const RETRY_AFTER_MAX_MS = 15_000;
const GIVE_UP_AFTER_MS = 120_000; // of failures in a row; then the user decides
const STEADY_MS = 10_000; // a connection that lasted this long ends a row of failures
const RESETS_MAX = 3;

/** The way back was not found in time; the turn itself may well have been finished. */
export class ConnectionLost extends Error {}

class Leaving extends Error {
  constructor(retryMs) {
    super("the pod is leaving");
    this.retryMs = retryMs;
  }
}
class Broken extends Error {}

/**
 * @typedef {object} Link
 * @property {"connecting" | "live" | "waiting"} state
 * @property {number} attempt failures since the last frame
 * @property {string} servedBy pod of the connection, "" while unknown
 *
 * @param {object} options
 * @param {string} options.sid
 * @param {string} options.turnId
 * @param {string | null} options.message the question, when this page may (re)send it
 * @param {boolean} options.submitted whether the server is known to have the turn
 * @param {AbortSignal} options.signal
 * @param {(frame: object) => void} options.onFrame each stored frame once, in order; besides them
 *   `snapshot` (all text so far) and our own `reset` (forget the text, it begins again)
 * @param {(link: Link) => void} options.onLink
 * @param {(ms: number, signal: AbortSignal) => Promise<void>} [options.pause]
 * @returns {Promise<void>} when the terminal frame was handed on
 * @throws {ApiError} what the server refuses for good
 * @throws {ConnectionLost}
 */
export async function followTurn({
  sid, turnId, message, submitted, signal, onFrame, onLink, pause = pauseOrOnline,
}) {
  const progress = {
    last: 0, resets: 0, submitted, queued: false, failures: 0, failingSince: 0, liveSince: 0,
  };
  while (!signal.aborted) {
    onLink({ state: "connecting", attempt: progress.failures, servedBy: "" });
    try {
      await oneConnection({ sid, turnId, message, signal, onFrame, onLink, progress });
      return;
    } catch (error) {
      if (signal.aborted) break;
      const waitMs = recover(error, { progress, message, onFrame });
      onLink({ state: "waiting", attempt: progress.failures, servedBy: "" });
      await pause(waitMs, signal);
    }
  }
}

async function oneConnection({ sid, turnId, message, signal, onFrame, onLink, progress }) {
  const connection = new AbortController();
  const abort = () => connection.abort();
  signal.addEventListener("abort", abort);
  const tooLate = setTimeout(abort, HEADERS_WITHIN_MS);
  try {
    const response = progress.submitted
      ? await api.followTurn(sid, turnId, progress.last, connection.signal)
      : await api.startTurn(sid, { turnId, message }, connection.signal);
    clearTimeout(tooLate);
    progress.submitted = true;
    progress.liveSince = Date.now();
    const servedBy = response.headers.get("X-Served-By") ?? "";
    onLink({ state: "live", attempt: progress.failures, servedBy });
    for await (const event of readEvents(response.body, () => silenceMs(progress))) {
      if (take(JSON.parse(event.data), { turnId, progress, onFrame })) return;
    }
  } finally {
    clearTimeout(tooLate);
    signal.removeEventListener("abort", abort);
    connection.abort();
  }
  throw new Broken("the stream ended before the turn did");
}

/** @returns {boolean} whether the turn has ended */
function take(frame, { turnId, progress, onFrame }) {
  if (frame.turn_id !== undefined && frame.turn_id !== turnId) return false;
  if (frame.type === "reconnect") throw new Leaving(frame.retry_ms ?? BACKOFF_FIRST_MS);
  if (frame.type === "error" && frame.seq === undefined) {
    // Not part of the turn: this connection is told that coming back is useless.
    throw new ApiError({ ...frame, traceId: frame.trace_id });
  }
  if (frame.type === "snapshot") {
    progress.last = frame.last;
  } else if (typeof frame.seq === "number") {
    if (frame.seq <= progress.last) return false;
    if (frame.seq > progress.last + 1) {
      throw new Broken(`frame ${frame.seq} came after ${progress.last}`);
    }
    progress.last = frame.seq;
  }
  progress.failures = 0;
  progress.queued = frame.type === "status" && frame.phase === "queued";
  onFrame(frame);
  return frame.type === "done" || frame.type === "error";
}

/** A queued turn does not run, so its stream beats slowly. */
function silenceMs({ queued }) {
  return MISSED_HEARTBEATS * (queued ? HEARTBEAT_IDLE_MS : HEARTBEAT_RUNNING_MS);
}

/** Decide after a failure: throw where there is no way on, else say how long to wait. */
function recover(error, { progress, message, onFrame }) {
  if (error instanceof Leaving) return Math.random() * error.retryMs;
  count(progress);
  const givingUp = Date.now() - progress.failingSince > GIVE_UP_AFTER_MS;
  if (error instanceof ApiError && !forgotten(error, { progress, message, onFrame })) {
    if (!error.retryable) throw error;
    // Refused for a while (overload) and still refused: that is an answer, not a lost line.
    if (givingUp && error.code !== "network") throw error;
  }
  if (givingUp) throw new ConnectionLost(error.message);
  const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (progress.failures - 1));
  const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(Math.min(asked, RETRY_AFTER_MAX_MS), backoff * (0.5 + Math.random()));
}

function count(progress) {
  const steady = progress.liveSince > 0 && Date.now() - progress.liveSince > STEADY_MS;
  if (steady) progress.failures = 0;
  if (progress.failures === 0) progress.failingSince = Date.now();
  progress.failures += 1;
  progress.liveSince = 0;
}

/**
 * The store lost what we saw (410), or the whole turn (404): begin again inside the same turn id.
 * A question that is refused so was not accepted: the loss is told once, then it may be sent.
 * @returns {boolean} whether that is what happened and another try makes sense
 */
function forgotten(error, { progress, message, onFrame }) {
  const refused = !progress.submitted && message !== null;
  const gone = error.status === 410 && (progress.last > 0 || refused);
  const unknown = error.status === 404 && progress.submitted && message !== null;
  if ((!gone && !unknown) || progress.resets >= RESETS_MAX) return false;
  progress.resets += 1;
  progress.last = 0;
  progress.submitted = !unknown;
  onFrame({ type: "reset" });
  return true;
}

/** Wait, but not longer than until the browser says that the network is back. */
function pauseOrOnline(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
