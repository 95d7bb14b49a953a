// A conversation: which one is open, its turns, and what the user can do to it.
//
// The server owns the truth. The page keeps only which session the address names (`?s=`) and, until
// its end, the id of a turn under way, so that a reload finds it even before it is in the history.
import { ApiError, api, newId } from "./api.js";
import { ConnectionLost } from "./client/kotaemon.js";
import { Elsewhere } from "./elsewhere.js";
import { pastTurns } from "./past.js";
import { placeMoved } from "./place.js";
import { Store } from "./store.js";
import { handoffSaid, isFinished, newTurn, turnFromServer, withFrame, withLink } from "./turn.js";

const REOPEN_AFTER_MS = 500; // what the store lost may take a moment to come back
const UNDER_WAY = "kotaemon.turn.";

/**
 * @typedef {object} Conversation
 * @property {string | null} sid
 * @property {"empty" | "loading" | "open" | "missing" | "failed"} state
 * @property {{code: string, message: string} | null} error why it failed to load
 * @property {import("./turn.js").TurnView[]} turns
 * @property {{since: number, reason: string, by: string} | null} handoff a person has it
 */

/** @type {Store<Conversation>} */
export const conversation = new Store({
  sid: null, state: "empty", error: null, turns: [], handoff: null,
});

/** Called when a turn has ended: lists and figures elsewhere may be old. */
export const turnEnded = new Set();

let following = new AbortController();
/** @type {string | null} the session whose stream is read */
let watched = null;
let watchedBy = { state: "connecting", attempt: 0, servedBy: "" };
const elsewhere = new Elsewhere();

/** Open the session that the address names, or an empty page. */
export function openFromAddress() {
  const sid = new URL(location.href).searchParams.get("s");
  return sid ? open(sid) : clear();
}

export function show(sid) {
  remember(sid, "pushState");
  return sid ? open(sid) : clear();
}

/** Ask in the open conversation, or begin one. */
export async function ask(message) {
  const { sid, state } = conversation.value;
  const fresh = state !== "open" || sid === null;
  const id = fresh ? newId() : sid;
  const turn = newTurn({ id: newId(), message });
  if (fresh) {
    stopFollowing();
    remember(id, "pushState");
    conversation.set({ sid: id, state: "open", error: null, turns: [], handoff: null });
  }
  conversation.set(({ turns }) => ({ turns: [...turns, turn] }));
  await follow({ sid: id, turnId: turn.id, message, submitted: false, mayCreate: fresh });
}

/** Show a turn that began by voice: the open session's, or that of a new one. */
export async function joinTurn({ sid, turnId, message }) {
  if (conversation.value.sid !== sid) {
    stopFollowing();
    remember(sid, "pushState");
    conversation.set({ sid, state: "open", error: null, turns: [], handoff: null });
  }
  if (conversation.value.turns.some((turn) => turn.id === turnId)) return;
  const turn = newTurn({ id: turnId, message });
  conversation.set(({ turns }) => ({ turns: [...turns, turn] }));
  await follow({ sid, turnId, message: null, submitted: true });
}

/** Ask the question of a finished turn again: a new turn, since a turn id never runs twice. */
export const askAgain = (turn) => ask(turn.message);

/** Find the way back to a turn that we lost; the same id, so nothing runs twice. */
export function reconnect(turn) {
  change(turn.id, () => ({ ...newTurn(turn), phase: turn.phase }));
  return follow({
    sid: conversation.value.sid, turnId: turn.id, message: turn.message, submitted: false,
  });
}

/**
 * Stop the answer. The stream then ends by itself with the text shown so far.
 * @returns {Promise<boolean>} whether the server heard it; if not, the answer goes on
 */
export async function stop(turn) {
  try {
    await api.cancel(conversation.value.sid, turn.id);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return false;
  }
}

/** Drop the page's view of a session that was deleted. */
export function forget(sid) {
  keepUnderWay(sid, null);
  if (conversation.value.sid === sid) show(null);
}

function clear() {
  stopFollowing();
  conversation.set({ sid: null, state: "empty", error: null, turns: [], handoff: null });
}

async function open(sid, again = false) {
  stopFollowing();
  const mine = following.signal;
  conversation.set({ sid, state: "loading", error: null, turns: [], handoff: null });
  const left = underWay(sid);
  let unknown = false;
  try {
    const past = await pastTurns(sid);
    if (mine.aborted) return;
    const turns = past.turns.map(turnFromServer);
    const found = left && turns.find((turn) => turn.id === left.id);
    if (left && !found) turns.push(newTurn(left));
    if (found && isFinished(found)) keepUnderWay(sid, null);
    conversation.set({ state: "open", turns, handoff: past.handoff });
    watch(sid, past.version);
  } catch (error) {
    if (mine.aborted) return;
    // The server lost a part: that is told once, and the next read is of what is left.
    if (error.status === 410 && !again) return open(sid, true);
    openFailed(sid, error, left);
    unknown = error.status === 404;
  }
  for (const turn of conversation.value.turns.filter((one) => !isFinished(one))) {
    const resend = left !== null && left.id === turn.id;
    // Frames tell the whole turn again from number 1, so what the history said is dropped.
    change(turn.id, () => newTurn(turn));
    follow({
      sid, turnId: turn.id, message: resend ? turn.message : null, submitted: !resend,
      mayCreate: resend && unknown,
    });
  }
}

function openFailed(sid, error, left) {
  if (error.status === 404 && left !== null) {
    // The page was left before its first question reached the server.
    conversation.set({ state: "open", turns: [newTurn(left)] });
  } else if (error.status === 404 || error.status === 400) {
    conversation.set({ state: "missing" });
  } else {
    conversation.set({ state: "failed", error: { code: error.code, message: error.message } });
  }
}

/** Follow what others do in the session, from this version on; once for each open session. */
async function watch(sid, afterVersion = 0) {
  if (watched === sid) return;
  watched = sid;
  const { signal } = following;
  const onLink = (link) => {
    for (const id of elsewhere.open()) change(id, (turn) => withLink(turn, link));
    watchedBy = link;
  };
  const frames = api.followSession(sid, { afterVersion, signal, onLink });
  let step = await frames.next();
  for (; !step.done; step = await frames.next()) {
    if (!signal.aborted) takeFromSession(sid, step.value);
  }
  const again = step.value;
  if (signal.aborted || !again) return;
  setTimeout(() => !signal.aborted && open(sid), REOPEN_AFTER_MS);
}

function takeFromSession(sid, frame) {
  const id = frame.turn_id;
  noteHandoff(frame);
  if (frame.type === "turn") {
    if (conversation.value.turns.some((turn) => turn.id === id)) return;
    elsewhere.tell(id);
    const phase = frame.state === "queued" ? "queued" : "";
    const turn = { ...newTurn({ ...frame, id }), state: phase || "running", phase };
    conversation.set(({ turns }) => ({ turns: [...turns, withLink(turn, watchedBy)] }));
    return;
  }
  const what = elsewhere.take(frame);
  if (what === "gap") {
    change(id, newTurn);
    follow({ sid, turnId: id, message: null, submitted: true });
  } else if (what !== "pass") {
    conversation.setOften(changed(id, (turn) => withFrame(turn, frame)));
  }
  if (what === "end") {
    completeSources(sid, id);
    for (const told of turnEnded) told();
  }
}

function noteHandoff(frame) {
  const handoff = handoffSaid(frame);
  if (handoff !== undefined) conversation.set({ handoff });
}

async function follow({ sid, turnId, message, submitted, mayCreate = false }) {
  const { signal } = following;
  const alter = (how) => !signal.aborted && change(turnId, how);
  const alterOften = (how) => !signal.aborted && conversation.setOften(changed(turnId, how));
  if (message !== null) keepUnderWay(sid, { id: turnId, message });
  try {
    const onLink = (link) => {
      alter((turn) => withLink(turn, link));
      // The first question has made the session: now there is something to follow.
      if (link.state === "live" && !signal.aborted) watch(sid);
    };
    const options = { turnId, submitted, signal, onLink };
    const frames = message === null
      ? api.followTurn(sid, turnId, options) : api.streamMessage(sid, message, options);
    for await (const frame of frames) {
      if (!signal.aborted) noteHandoff(frame);
      alterOften((turn) => withFrame(turn, frame));
    }
    if (signal.aborted) return;
    await completeSources(sid, turnId);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ConnectionLost) {
      alter((turn) => ({ ...turn, lost: true }));
      return;
    }
    if (!(error instanceof ApiError)) throw error;
    // The page asks for a key now; who has given it finds the question where it was.
    if (error.status === 401) return;
    if (mayCreate && error.status === 404) {
      await followInNewSession({ turnId, message });
      return;
    }
    const settled = await settledTurn(sid, turnId, error);
    alter((turn) => settled ?? withFrame(turn, { type: "error", ...fieldsOf(error) }));
  }
  keepUnderWay(sid, null);
  for (const told of turnEnded) told();
}

/** Following failed for good, but the turn may have ended well: ask once before we say it failed. */
async function settledTurn(sid, turnId, error) {
  if (error.status === 404 || error.status === 409) return null;
  try {
    const turn = turnFromServer(await api.turn(sid, turnId));
    return isFinished(turn) ? turn : null;
  } catch (second) {
    if (!(second instanceof ApiError)) throw second;
    return null;
  }
}

/** Where ids are minted, an id of our own is unknown (404): ask for one and go on under it. */
async function followInNewSession({ turnId, message }) {
  const { signal } = following;
  keepUnderWay(conversation.value.sid, null);
  try {
    const { id: sid } = await api.createSession();
    if (signal.aborted) return;
    remember(sid, "replaceState");
    conversation.set({ sid });
    await follow({ sid, turnId, message, submitted: false });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    change(turnId, (turn) => withFrame(turn, { type: "error", ...fieldsOf(error) }));
  }
}

/** A snapshot carries the text but not the sources. Without them the answer can still be read. */
async function completeSources(sid, turnId) {
  const turn = conversation.value.turns.find((one) => one.id === turnId);
  if (!turn?.partial) return;
  try {
    const told = await api.turn(sid, turnId);
    change(turnId, (now) => ({ ...now, sources: told.sources ?? now.sources, partial: false }));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

const change = (turnId, how) => conversation.set(changed(turnId, how));

const changed = (turnId, how) => ({ turns }) => ({
  turns: turns.map((turn) => (turn.id === turnId ? how(turn) : turn)),
});

function stopFollowing() {
  watched = null;
  elsewhere.forget();
  following.abort();
  following = new AbortController();
}

const fieldsOf = ({ code, message, retryable, traceId }) => ({
  code, message, retryable, trace_id: traceId,
});

function remember(sid, how) {
  const address = new URL(location.href);
  if (sid) address.searchParams.set("s", sid);
  else address.searchParams.delete("s");
  address.hash = ""; // it named another place of the page
  if (address.href !== location.href) window.history[how](null, "", address);
  placeMoved();
}

function keepUnderWay(sid, turn) {
  try {
    if (turn === null) sessionStorage.removeItem(UNDER_WAY + sid);
    else sessionStorage.setItem(UNDER_WAY + sid, JSON.stringify(turn));
  } catch {
    // Storage is forbidden or full: a reload then finds the turn through the session alone.
  }
}

function underWay(sid) {
  try {
    return JSON.parse(sessionStorage.getItem(UNDER_WAY + sid));
  } catch {
    return null;
  }
}
