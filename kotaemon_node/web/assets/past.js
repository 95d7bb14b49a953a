// What a session holds already, read page by page.
import { api } from "./api.js";
import { asksWaiting } from "./tools.js";

const HISTORY_PAGE = 200;
const HISTORY_PAGES_MAX = 25;

/**
 * @param {number} [from] the version behind which to begin; 0 reads all
 * @returns {Promise<{turns: object[], version: number, handoff: object | null}>} `version`: behind
 *   which turns are news
 */
export async function pastTurns(sid, from = 0) {
  const turns = [];
  let version = 0;
  let afterVersion = from;
  let handoff = null;
  let pending = null;
  let running = null; // it is told beside the history, since it is not in it yet
  for (let page = 0; page < HISTORY_PAGES_MAX; page += 1) {
    const told = await api.session(sid, { afterVersion, limit: HISTORY_PAGE });
    running = told.running_turn ?? null;
    version = told.version;
    handoff = told.handoff ?? null;
    pending = told.pending ?? null;
    const known = new Set(turns.map((turn) => turn.turn_id));
    const rated = told.feedback ?? {};
    turns.push(...told.turns.filter((turn) => !known.has(turn.turn_id))
      .map((turn) => ({ ...turn, rating: rated[turn.turn_id] ?? null })));
    const newest = Math.max(0, ...told.turns.map((turn) => turn.version ?? 0));
    if (newest >= told.version || newest <= afterVersion) break;
    afterVersion = newest;
  }
  if (running && !turns.some((turn) => turn.turn_id === running)) {
    turns.push(await api.turn(sid, running));
  }
  const asking = turns.find((turn) => turn.turn_id === pending?.turn_id);
  if (asking) asking.asks = asksWaiting(pending);
  return { turns, version, handoff };
}
