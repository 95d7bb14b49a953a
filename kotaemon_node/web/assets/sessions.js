// The list of earlier conversations.
import { ApiError, api } from "./api.js";
import { Store } from "./store.js";

const PAGE = 30;
const SEARCHED_MAX = 600;

/**
 * @typedef {object} SessionList
 * @property {{id: string, title: string, activeMs: number}[]} rows newest first
 * @property {"idle" | "loading" | "failed"} state
 * @property {boolean} more whether the server has older ones
 */

/** @type {Store<SessionList>} */
export const sessions = new Store({ rows: [], state: "idle", more: false });

/** Read the newest page again; rows that were loaded further down are read again on demand. */
export const refreshSessions = () => load(0);

export const moreSessions = () => load(sessions.value.rows.length);

/** Read what else there is, so that it can be searched by its first words. */
export async function allSessions() {
  while (sessions.value.more && sessions.value.state === "idle") {
    if (sessions.value.rows.length >= SEARCHED_MAX) return;
    await moreSessions();
  }
}

/** @returns {Promise<boolean>} whether it is gone */
export async function removeSession(id) {
  try {
    await api.deleteSession(id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status !== 404) {
      sessions.set({ state: "failed" });
      return false;
    }
  }
  sessions.set(({ rows }) => ({ rows: rows.filter((row) => row.id !== id) }));
  return true;
}

async function load(offset) {
  sessions.set({ state: "loading" });
  try {
    const told = await api.sessions({ offset, limit: PAGE });
    const page = told.sessions.map(row);
    const kept = sessions.value.rows.slice(0, offset);
    const known = new Set(kept.map(({ id }) => id));
    sessions.set({
      rows: [...kept, ...page.filter(({ id }) => !known.has(id))],
      state: "idle",
      more: typeof told.next_offset === "number",
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    sessions.set({ state: "failed" });
  }
}

const row = (told) => ({
  id: told.session_id,
  title: told.title ?? "",
  activeMs: momentMs(told.active_at ?? told.created_at),
});

/** Moments come as seconds since 1970 or in ISO 8601. */
function momentMs(value) {
  return typeof value === "number" ? value * 1000 : Date.parse(value);
}
