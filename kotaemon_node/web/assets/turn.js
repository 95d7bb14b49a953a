// A turn as the page shows it, and how each frame changes it. Pure: values in, values out.
import { textAfter, wholeText } from "./client/text.js";
import { asksFor, withTool } from "./tools.js";

/**
 * @typedef {object} TurnView
 * @property {string} id
 * @property {string} message
 * @property {"queued" | "running" | "done" | "failed" | "cancelled" | "interrupted"} state
 * @property {string} text the answer so far
 * @property {number} length of the text, in code points
 * @property {string} phase of the last `status` frame
 * @property {number | null} latency seconds from the question to that frame
 * @property {object[]} sources `docs` of the `source` frames, by `n`
 * @property {import("./tools.js").ToolCall[]} tools
 * @property {import("./tools.js").Asks | null} asks what the answer wants to hear
 * @property {{code: string, message: string, retryable: boolean, traceId: string} | null} error
 * @property {Record<string, number>} generation of each knowledge base
 * @property {string | null} degraded
 * @property {string} traceId
 * @property {string[]} servedBy pods that sent it to us, in order
 * @property {{state: string, attempt: number}} link
 * @property {boolean} takenOver another pod finished what one began
 * @property {boolean} lost we gave up reconnecting; the turn may be finished on the server
 * @property {boolean} partial a snapshot stood in for frames, so the sources must be fetched
 * @property {number | null} seconds it took
 * @property {"up" | "down" | null} rating what the user said of the answer
 * @property {string} author `agent` where a person said the text
 * @property {string} name that of the person
 * @property {string} event `handoff` or `handback`, where that happened with this turn
 * @property {string} origin `follow_up` where nobody asked for it
 * @property {boolean} handoff the message is a person's to answer
 */

const FINISHED = new Set(["done", "failed", "cancelled", "interrupted"]);

export const isFinished = (turn) => FINISHED.has(turn.state);

/** @returns {TurnView} */
export function newTurn({ id, message, author = "", name = "", event = "", origin = "" }) {
  return {
    id, message, state: "running", text: "", length: 0, phase: "", latency: null, sources: [],
    tools: [], asks: null,
    error: null, generation: {}, degraded: null, traceId: "", servedBy: [],
    link: { state: "connecting", attempt: 0 }, takenOver: false, lost: false, partial: false,
    seconds: null, rating: null, author, name, event, origin, handoff: false,
  };
}

/** A turn as `GET /v1/sessions/{sid}` or `GET …/turns/{tid}` tells it. @returns {TurnView} */
export function turnFromServer(told) {
  return {
    ...newTurn({ ...told, id: told.turn_id }),
    state: told.state,
    ...wholeText(told.answer ?? ""),
    sources: told.sources ?? [],
    asks: told.asks ?? null,
    error: told.error ? shownError(told.error, told.trace_id) : null,
    generation: told.generation ?? {},
    degraded: told.degraded ?? null,
    traceId: told.trace_id ?? "",
    servedBy: told.owner ? [told.owner.replace(/\.[^.]*$/, "")] : [], // without its incarnation
    seconds: secondsOf(told.timings),
    rating: told.rating ?? null,
    handoff: told.handoff ?? false,
  };
}

const FRAMES = {
  status: (turn, frame) => ({
    ...turn,
    state: frame.phase === "queued" ? "queued" : "running",
    phase: frame.phase,
    latency: frame.latency ?? null,
    takenOver: turn.takenOver || frame.phase === "taken_over",
  }),
  source: (turn, frame) => ({ ...turn, sources: withDocs(turn.sources, frame.docs ?? []) }),
  tool_call: (turn, frame) => ({
    ...turn, tools: withTool(turn.tools, frame), asks: asksAfter(turn, frame),
  }),
  text: (turn, frame) => ({ ...withText(turn, frame), state: "running" }),
  restart: withText,
  handoff: (turn, frame) => ({ ...turn, event: frame.active ? "handoff" : "handback" }),
  reset: (turn, frame) => ({ ...withText(turn, frame), sources: [], tools: [], asks: null }),
  snapshot: (turn, frame) => ({ ...withText(turn, frame), partial: true }),
  error: (turn, frame) => ({
    ...turn,
    state: "failed",
    error: shownError(frame, frame.trace_id),
  }),
  done: (turn, frame) => ({
    ...withText(turn, frame),
    state: frame.state ?? "done",
    generation: frame.generation ?? turn.generation,
    degraded: frame.degraded ?? null,
    seconds: secondsOf(frame.timings),
    author: frame.author ?? turn.author,
    name: frame.name ?? turn.name,
    event: frame.event ?? turn.event,
    handoff: frame.handoff ?? false,
  }),
};

/**
 * @param {TurnView} turn
 * @param {object} frame as sent, or our own `reset`; an unknown type changes nothing
 * @returns {TurnView}
 */
export function withFrame(turn, frame) {
  const change = Object.hasOwn(FRAMES, frame.type) ? FRAMES[frame.type] : (same) => same;
  return { ...change(turn, frame), traceId: frame.trace_id ?? turn.traceId };
}

/** @returns {TurnView} */
export function withLink(turn, { state, attempt, servedBy }) {
  const isNew = servedBy !== "" && turn.servedBy.at(-1) !== servedBy;
  return {
    ...turn,
    link: { state, attempt },
    servedBy: isNew ? [...turn.servedBy, servedBy] : turn.servedBy,
  };
}

function withText(turn, frame) {
  return { ...turn, ...textAfter({ text: turn.text, length: turn.length }, frame) };
}

function asksAfter({ asks }, frame) {
  const told = asksFor(frame);
  return told === undefined ? asks : told;
}

function withDocs(known, docs) {
  const numbers = new Set(docs.map((doc) => doc.n));
  return [...known.filter((doc) => !numbers.has(doc.n)), ...docs].sort((a, b) => a.n - b.n);
}

function shownError({ code, message, retryable }, traceId) {
  return { code, message, retryable: Boolean(retryable), traceId: traceId ?? "" };
}

function secondsOf(timings) {
  const total = timings?.total_s ?? timings?.total;
  return typeof total === "number" ? total : null;
}

/** What a frame says of who has the conversation; undefined where it says nothing of it. */
export function handoffSaid(frame) {
  if (frame.type === "handoff") {
    const { active, since, reason, by } = frame;
    return active ? { since, reason, by } : null;
  }
  // It was handed off before this page began to listen.
  if (frame.type === "done" && frame.handoff) return { since: 0, reason: "", by: "" };
  return undefined;
}
