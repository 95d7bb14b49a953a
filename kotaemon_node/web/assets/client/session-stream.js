// Follow a session for as long as it is looked at: what other tabs and devices do in it.
//
// Law 1: the way back is `Last-Event-ID`; before the first numbered frame it is the version that the
//   page has read. So nothing is missed, and reading again is left to the one case of "gone".
// Law 2: a page that nobody looks at holds no connection. A browser opens six to a server over
//   HTTP/1.1, for all of its tabs together: six idle tabs would silence the seventh.
import { ApiError } from "./errors.js";
import { MISSED_HEARTBEATS, HEARTBEAT_IDLE_MS, HEARTBEAT_RUNNING_MS, readEvents } from "./sse.js";
import { isHidden, looked, pauseOrOnline, whenHidden } from "./waiting.js";

const HEADERS_WITHIN_MS = 10_000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const LEAVING_MIN_MS = 250; // a stream of a session is in no hurry
const GONE = new Set([404, 410]);

/**
 * @param {object} options
 * @param {(place: {lastId: string, afterVersion: number}, signal: AbortSignal) => Promise<Response>}
 *   options.open the stream behind a frame, else behind a version
 * @param {number} [options.afterVersion] turns of the history that the caller has
 * @param {AbortSignal} options.signal
 * @param {(link: import("./follow.js").Link) => void} [options.onLink]
 * @returns {AsyncGenerator<object, boolean>} frames as sent, those of a turn in order. Returns true
 *   when the session must be read again: the store no longer knows what we saw, or the session was
 *   deleted; false when there is nothing more to do
 */
export async function* followSession({ open, afterVersion = 0, signal, onLink = () => {} }) {
  const place = { afterVersion, lastId: "", running: false };
  let failures = 0;
  while (!signal.aborted) {
    await looked(signal);
    if (signal.aborted) break;
    let waitMs = 0;
    try {
      const onLive = (servedBy) => {
        failures = 0;
        onLink({ state: "live", attempt: 0, servedBy });
      };
      yield* oneConnection({ open, place, signal, onLive });
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof Gone || GONE.has(error.status)) return true;
      if (error instanceof ApiError && !error.retryable) return false;
      failures += 1;
      waitMs = error instanceof Leaving ? Math.max(LEAVING_MIN_MS, error.retryMs) : backoffMs(failures, error.retryAfterMs ?? 0);
    }
    onLink({ state: "waiting", attempt: failures, servedBy: "" });
    await pauseOrOnline(waitMs, signal);
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

/** The frames of one connection, to its end or until nobody looks any more. */
async function* oneConnection({ open, place, signal, onLive }) {
  const connection = new AbortController();
  const abort = () => connection.abort();
  const tooLate = setTimeout(abort, HEADERS_WITHIN_MS);
  const stopWatching = whenHidden(abort);
  signal.addEventListener("abort", abort);
  try {
    const response = await open(place, connection.signal);
    clearTimeout(tooLate);
    onLive(response.headers.get("X-Served-By") ?? "");
    for await (const event of readEvents(response.body, () => silenceMs(place))) {
      const frame = JSON.parse(event.data);
      leaveOn(frame);
      place.lastId = event.id || place.lastId;
      place.running = frame.type !== "done" && frame.type !== "error";
      yield frame;
    }
    throw new Error("the stream ended");
  } catch (error) {
    if (!isHidden()) throw error;
  } finally {
    clearTimeout(tooLate);
    signal.removeEventListener("abort", abort);
    stopWatching();
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
