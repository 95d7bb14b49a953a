// A turn as the page shows it, and how each frame changes it. Pure: values in, values out.
import { codePointLength, unitIndex } from "./codepoints.js";

/**
 * @typedef {object} TurnView
 * @property {string} id
 * @property {string} message
 * @property {"queued" | "running" | "done" | "failed" | "cancelled" | "interrupted"} state
 * @property {string} text the answer so far
 * @property {number} length of the text, in code points
 * @property {string} phase of the last `status` frame
 * @property {object[]} sources `docs` of the `source` frames, by `n`
 * @property {{name: string, state: string}[]} tools
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
    id, message, state: "running", text: "", length: 0, phase: "", sources: [], tools: [],
    error: null, generation: {}, degraded: null, traceId: "", servedBy: [],
    link: { state: "connecting", attempt: 0 }, takenOver: false, lost: false, partial: false,
    seconds: null, rating: null, author, name, event, origin, handoff: false,
  };
}

/** A turn as `GET /v1/sessions/{sid}` or `GET …/turns/{tid}` tells it. @returns {TurnView} */
export function turnFromServer(told) {
  const text = told.answer ?? "";
  return {
    ...newTurn({ ...told, id: told.turn_id }),
    state: told.state,
    text,
    length: codePointLength(text),
    sources: told.sources ?? [],
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
    takenOver: turn.takenOver || frame.phase === "taken_over",
  }),
  source: (turn, frame) => ({ ...turn, sources: withDocs(turn.sources, frame.docs ?? []) }),
  tool_call: (turn, frame) => ({ ...turn, tools: withTool(turn.tools, frame) }),
  text: (turn, frame) => ({
    ...turn,
    state: "running",
    ...withText(turn, frame.content, frame.offset ?? turn.length),
  }),
  restart: (turn) => ({ ...turn, text: "", length: 0 }),
  handoff: (turn, frame) => ({ ...turn, event: frame.active ? "handoff" : "handback" }),
  reset: (turn) => ({ ...turn, text: "", length: 0, sources: [], tools: [] }),
  snapshot: (turn, frame) => ({
    ...turn,
    text: frame.content,
    length: codePointLength(frame.content),
    partial: true,
  }),
  error: (turn, frame) => ({
    ...turn,
    state: "failed",
    error: shownError(frame, frame.trace_id),
  }),
  done: (turn, frame) => {
    const text = frame.answer ?? turn.text;
    return {
      ...turn,
      state: frame.state ?? "done",
      text,
      length: codePointLength(text),
      generation: frame.generation ?? turn.generation,
      degraded: frame.degraded ?? null,
      seconds: secondsOf(frame.timings),
      author: frame.author ?? turn.author,
      name: frame.name ?? turn.name,
      event: frame.event ?? turn.event,
      handoff: frame.handoff ?? false,
    };
  },
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

// `offset` is where the piece stands, so a piece that comes again changes nothing.
function withText(turn, content, offset) {
  if (offset === turn.length) {
    return { text: turn.text + content, length: turn.length + codePointLength(content) };
  }
  const from = unitIndex(turn.text, offset);
  const text = turn.text.slice(0, from) + content + turn.text.slice(from + content.length);
  return { text, length: codePointLength(text) };
}

function withDocs(known, docs) {
  const numbers = new Set(docs.map((doc) => doc.n));
  return [...known.filter((doc) => !numbers.has(doc.n)), ...docs].sort((a, b) => a.n - b.n);
}

function withTool(tools, { name, state }) {
  const open = tools.findIndex((tool) => tool.name === name && tool.state === "started");
  if (open < 0) return [...tools, { name, state }];
  return tools.map((tool, index) => (index === open ? { name, state } : tool));
}

function shownError({ code, message, retryable }, traceId) {
  return { code, message, retryable: Boolean(retryable), traceId: traceId ?? "" };
}

function secondsOf(timings) {
  const total = timings?.total_s ?? timings?.total;
  return typeof total === "number" ? total : null;
}
