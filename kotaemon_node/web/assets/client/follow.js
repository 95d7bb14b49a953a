// Follow one turn to its end over any number of connections: nothing lost, nothing twice.
//
// Law 1: a frame is handed on only when its number is the one after the last handed on.
// Law 2: whatever breaks, the next request says the last number seen and any pod continues there.
//   Text that does not go on where the text so far ends is read anew, once, from the first frame.
// Law 3: a turn id runs at most once on the server, so repeating the POST is always safe.
import { ApiError, ConnectionLost } from "./errors.js";
import { MISSED_HEARTBEATS, HEARTBEAT_IDLE_MS, HEARTBEAT_RUNNING_MS, readEvents } from "./sse.js";
import { NO_TEXT, fits, textAfter, wholeText } from "./text.js";
import { pauseOrOnline } from "./waiting.js";

const HEADERS_WITHIN_MS = 10_000;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 5_000;
const LEAVING_MIN_MS = 20;
const RETRY_AFTER_MAX_MS = 15_000;
const GIVE_UP_AFTER_MS = 120_000; // of failures in a row; then the user decides
const STEADY_MS = 10_000; // a connection that lasted this long ends a row of failures
const RESETS_MAX = 3;
const MISFITS_MAX = 1; // what does not fit a second time will not fit a third time

class Leaving extends Error {
  constructor(retryMs) {
    super("the pod is leaving");
    this.retryMs = retryMs;
  }
}
class Broken extends Error {}
class OutOfPlace extends Error {}

/**
 * @typedef {object} Link
 * @property {"connecting" | "live" | "waiting"} state
 * @property {number} attempt failures since the last frame
 * @property {string} servedBy pod of the connection, "" while unknown
 *
 * @typedef {object} Means how a turn's stream is opened
 * @property {((signal: AbortSignal) => Promise<Response>) | null} submit send the question, or
 *   attach to the turn where the server knows it; null: this caller must not send it
 * @property {(after: number, signal: AbortSignal) => Promise<Response>} resume frames after a number
 *
 * @param {object} options
 * @param {string} options.turnId
 * @param {Means} options.means
 * @param {boolean} [options.submitted] whether the server is known to have the turn
 * @param {number} [options.after] number of the last frame that the caller has
 * @param {string} [options.text] of the answer up to there; without it the places of its next
 *   pieces cannot be checked
 * @param {AbortSignal} options.signal
 * @param {(link: Link) => void} [options.onLink]
 * @param {(ms: number, signal: AbortSignal) => Promise<void>} [options.pause]
 * @returns {AsyncGenerator<object>} each stored frame once, in order, to the terminal one; besides
 *   them `snapshot` (all text so far) and our own `reset` (forget all of it, it begins again)
 * @throws {ApiError} what the server refuses for good; code `misfit` where the text does not fit
 * @throws {ConnectionLost}
 */
export async function* followTurn({
  turnId, means, submitted = means.submit === null, after = 0, text = after > 0 ? null : "",
  signal, onLink = () => {}, pause = pauseOrOnline,
}) {
  const progress = {
    last: after, resets: 0, submitted, queued: false, failures: 0, failingSince: 0, liveSince: 0,
    misfits: 0, answer: text === null ? null : wholeText(text),
  };
  while (!signal.aborted) {
    onLink({ state: "connecting", attempt: progress.failures, servedBy: "" });
    let waitMs;
    try {
      yield* oneConnection({ turnId, means, signal, onLink, progress });
      return;
    } catch (error) {
      if (signal.aborted) return;
      const way = recover(error, { progress, mayResend: means.submit !== null });
      if (way.reset) yield { type: "reset" };
      waitMs = way.waitMs;
    }
    onLink({ state: "waiting", attempt: progress.failures, servedBy: "" });
    await pause(waitMs, signal);
  }
}

/** The frames of one connection. Ends with the turn; throws when the connection ends before. */
async function* oneConnection({ turnId, means, signal, onLink, progress }) {
  const connection = new AbortController();
  const abort = () => connection.abort();
  signal.addEventListener("abort", abort);
  const tooLate = setTimeout(abort, HEADERS_WITHIN_MS);
  try {
    const response = progress.submitted
      ? await means.resume(progress.last, connection.signal)
      : await means.submit(connection.signal);
    clearTimeout(tooLate);
    progress.submitted = true;
    progress.liveSince = Date.now();
    const servedBy = response.headers.get("X-Served-By") ?? "";
    onLink({ state: "live", attempt: progress.failures, servedBy });
    for await (const event of readEvents(response.body, () => silenceMs(progress))) {
      const frame = JSON.parse(event.data);
      if (!isNews(frame, { turnId, progress })) continue;
      yield frame;
      if (frame.type === "done" || frame.type === "error") return;
    }
  } finally {
    clearTimeout(tooLate);
    signal.removeEventListener("abort", abort);
    connection.abort();
  }
  throw new Broken("the stream ended before the turn did");
}

/** Whether a frame is the next one of the turn; notes how far it has come. */
function isNews(frame, { turnId, progress }) {
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
    if (progress.answer && !fits(progress.answer, frame)) {
      throw new OutOfPlace(`text of offset ${frame.offset} came behind ${progress.answer.length}`);
    }
    progress.last = frame.seq;
  }
  progress.answer = WHOLE.has(frame.type) || progress.answer
    ? textAfter(progress.answer ?? NO_TEXT, frame) : null;
  progress.failures = 0;
  progress.queued = frame.type === "status" && frame.phase === "queued";
  return true;
}

const WHOLE = new Set(["restart", "snapshot"]); // behind them the text is known again

/** A queued turn does not run, so its stream beats slowly. */
function silenceMs({ queued }) {
  return MISSED_HEARTBEATS * (queued ? HEARTBEAT_IDLE_MS : HEARTBEAT_RUNNING_MS);
}

/** Decide after a failure: throw where there is no way on, else say how long to wait. */
function recover(error, { progress, mayResend }) {
  count(progress);
  const givingUp = Date.now() - progress.failingSince > GIVE_UP_AFTER_MS;
  if (error instanceof OutOfPlace) beginAnew(error, progress);
  const reset = error instanceof OutOfPlace
    || error instanceof ApiError && forgotten(error, { progress, mayResend });
  if (error instanceof ApiError && !reset) {
    if (!error.retryable) throw error;
    // Refused for a while (overload) and still refused: that is an answer, not a lost line.
    if (givingUp && error.code !== "network") throw error;
  }
  if (givingUp) throw new ConnectionLost(error.message);
  const backoff = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (progress.failures - 1));
  // The first pod that leaves is left at once; one behind the other they are failures like others.
  if (error instanceof Leaving && progress.failures === 1) {
    return { waitMs: Math.max(LEAVING_MIN_MS, Math.random() * error.retryMs), reset: false };
  }
  const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  const waitMs = Math.max(Math.min(asked, RETRY_AFTER_MAX_MS), backoff * (0.5 + Math.random()));
  return { waitMs, reset };
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
function forgotten(error, { progress, mayResend }) {
  const refused = !progress.submitted && mayResend;
  const gone = error.status === 410 && (progress.last > 0 || refused);
  const unknown = error.status === 404 && progress.submitted && mayResend;
  if ((!gone && !unknown) || progress.resets >= RESETS_MAX) return false;
  progress.resets += 1;
  progress.last = 0;
  progress.answer = NO_TEXT;
  progress.submitted = !unknown;
  return true;
}

/** Read from the first frame, never as a new question: the turn is there. */
function beginAnew(error, progress) {
  progress.misfits += 1;
  if (progress.misfits > MISFITS_MAX) throw new ApiError({ code: "misfit", message: error.message });
  progress.last = 0;
  progress.answer = NO_TEXT;
}
