// A conversation as it goes on: what was said, and what is being said now.
import { ApiError, api } from "../../api.js";
import { useLayoutEffect, useState } from "../../html.js";
import { pastTurns } from "../../past.js";
import { isFinished, newTurn, turnFromServer, withFrame } from "../../turn.js";

const AGAIN_MS = 1_500;
const TURNS_SHOWN = 1_000; // the newest; a longer conversation is drawn too slowly

/**
 * @typedef {object} Watched
 * @property {"loading" | "open" | "missing" | "failed"} state
 * @property {object | null} session as the server tells it, without its turns
 * @property {import("../../turn.js").TurnView[]} turns the newest
 * @property {number} left how many before them are not shown
 * @property {ApiError | null} error
 */

/** Read a session and follow it for as long as it is shown. @returns {Watched & {again: () => void}} */
export function useSession(sid) {
  const [seen, setSeen] = useState({ state: "loading", session: null, turns: [], left: 0, error: null });
  const [round, setRound] = useState(0);
  const again = () => setRound((count) => count + 1);
  useLayoutEffect(() => {
    const over = new AbortController();
    watch(sid, over.signal, setSeen);
    return () => over.abort();
  }, [sid, round]);
  return { ...seen, again };
}

async function watch(sid, signal, tell) {
  while (!signal.aborted) {
    let session;
    let past;
    let left;
    try {
      session = await api.session(sid, { limit: 1 });
      left = Math.max(0, session.version - TURNS_SHOWN);
      past = await pastTurns(sid, left);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (signal.aborted) return;
      tell((seen) => ({ ...seen, state: error.status === 404 ? "missing" : "failed", error }));
      return;
    }
    if (signal.aborted) return;
    const turns = past.turns.map(turnFromServer);
    const { handoff, version } = past;
    tell({ state: "open", session: { ...session, handoff, turns: [] }, turns, left, error: null });
    const frames = api.followSession(sid, { afterVersion: version, signal });
    const done = await told(frames, signal, tell);
    if (!done) return; // nothing more will come; what is there stays in view
    await new Promise((wake) => setTimeout(wake, AGAIN_MS));
  }
}

/** Show each frame as it comes. Resolves with whether the session is to be read again. */
async function told(frames, signal, tell) {
  for (;;) {
    let next;
    try {
      next = await frames.next();
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
    if (next.done) return next.value;
    if (signal.aborted) return false;
    tell((seen) => withNews(seen, next.value));
  }
}

function withNews(seen, frame) {
  if (!frame.turn_id) return seen;
  let session = seen.session;
  if (frame.type === "handoff") {
    const { since, reason, by } = frame;
    session = { ...session, handoff: frame.active ? { since, reason, by } : null };
  }
  const known = seen.turns.some(({ id }) => id === frame.turn_id);
  const fresh = () => newTurn({ ...frame, id: frame.turn_id, message: frame.message ?? "" });
  const turns = known ? seen.turns : [...seen.turns, fresh()];
  return {
    ...seen,
    session,
    turns: turns.map((turn) => {
      if (turn.id !== frame.turn_id || isFinished(turn)) return turn;
      return frame.type === "turn" ? { ...turn, message: frame.message ?? turn.message } : withFrame(turn, frame);
    }),
  };
}
