// Follow a session for as long as it is looked at: what other tabs and devices do in it.
//
// Law 1: the way back is `Last-Event-ID`; before the first numbered frame it is the version that the
//   page has read. So nothing is missed, and reading again is left to the one case of "gone".
// Law 2: a page that nobody looks at holds no connection. A browser opens six to a server over
//   HTTP/1.1, for all of its tabs together: six idle tabs would silence the seventh.
import { ApiError, api } from "./api.js";
import { readEvents } from "./sse.js";

const HEARTBEAT_IDLE_MS = 20_000;
const HEARTBEAT_RUNNING_MS = 2_000;
const MISSED_HEARTBEATS = 3;
const HEADERS_WITHIN_MS = 10_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const GONE = new Set([404, 410]);

/**
 * @param {object} options
 * @param {string} options.sid
 * @param {number} options.afterVersion turns of the history that the page has
 * @param {AbortSignal} options.signal
 * @param {(frame: object) => void} options.onFrame as sent; frames of a turn are in order
 * @param {(link: {state: string, attempt: number, servedBy: string}) => void} options.onLink
 * @returns {Promise<boolean>} true when the session must be read again: the store no longer knows
 *   what we saw, or the session was deleted; false when there is nothing more to do
 */
export async function followSession({ sid, afterVersion, signal, onFrame, onLink }) {
  const place = { afterVersion, lastId: "", running: false };
  let failures = 0;
  while (!signal.aborted) {
    await looked(signal);
    if (signal.aborted) break;
    let waitMs = 0;
    try {
      await oneConnection({
        sid, place, signal, onFrame,
        onLive: (servedBy) => {
          failures = 0;
          onLink({ state: "live", attempt: 0, servedBy });
        },
      });
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof Gone || GONE.has(error.status)) return true;
      if (error instanceof ApiError && !error.retryable) return false;
      failures += 1;
      waitMs = error.retryMs ?? backoffMs(failures, error.retryAfterMs ?? 0);
    }
    onLink({ state: "waiting", attempt: failures, servedBy: "" });
    await pause(waitMs, signal);
  }
  return false;
}

class Gone extends Error {}

class Leaving extends Error {
  constructor(retryMs) {
    super("the pod is leaving");
    this.retryMs = retryMs;
  }
}

/** One connection, to its end or until nobody looks any more. */
async function oneConnection({ sid, place, signal, onFrame, onLive }) {
  const connection = new AbortController();
  const abort = () => connection.abort();
  const hidden = () => document.hidden && abort();
  const tooLate = setTimeout(abort, HEADERS_WITHIN_MS);
  signal.addEventListener("abort", abort);
  document.addEventListener("visibilitychange", hidden);
  try {
    const response = await api.followSession(sid, place, connection.signal);
    clearTimeout(tooLate);
    onLive(response.headers.get("X-Served-By") ?? "");
    for await (const event of readEvents(response.body, () => silenceMs(place))) {
      const frame = JSON.parse(event.data);
      leaveOn(frame);
      place.lastId = event.id || place.lastId;
      place.running = frame.type !== "done" && frame.type !== "error";
      onFrame(frame);
    }
    throw new Error("the stream ended");
  } catch (error) {
    if (!document.hidden) throw error;
  } finally {
    clearTimeout(tooLate);
    signal.removeEventListener("abort", abort);
    document.removeEventListener("visibilitychange", hidden);
    abort();
  }
}

/** What is said to this connection and belongs to no turn ends it. */
function leaveOn(frame) {
  if (frame.type === "reconnect") throw new Leaving(Math.random() * (frame.retry_ms ?? 0));
  if (frame.type !== "error" || frame.seq !== undefined) return;
  throw frame.code === "gone" ? new Gone(frame.message) : new Error(frame.message);
}

const silenceMs = ({ running }) =>
  MISSED_HEARTBEATS * (running ? HEARTBEAT_RUNNING_MS : HEARTBEAT_IDLE_MS);

function backoffMs(failures, askedMs) {
  const grown = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1));
  return Math.max(askedMs, grown * (0.5 + Math.random()));
}

/** Wait until the page is looked at. */
const looked = (signal) => until(signal, [document, "visibilitychange"], () => !document.hidden);

/** Wait, but not longer than until the browser says that the network is back. */
function pause(ms, signal) {
  const due = Date.now() + ms;
  return until(signal, [globalThis, "online"], (why) => why === "online" || Date.now() >= due, ms);
}

/** Wait until `holds`, which is asked now, at the event, and after `ms`; or until the abort. */
function until(signal, [target, name], holds, ms = null) {
  if (signal.aborted || holds("")) return Promise.resolve();
  return new Promise((resolve) => {
    const look = (event) => {
      if (event?.type !== "abort" && event !== undefined && !holds(event.type)) return;
      clearTimeout(timer);
      target.removeEventListener(name, look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    const timer = ms === null ? null : setTimeout(look, ms);
    target.addEventListener(name, look);
    signal.addEventListener("abort", look);
  });
}
