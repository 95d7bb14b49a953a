// Cited passages in their documents, and which of them the panel shows.
import { ApiError, api, sourcePath } from "./api.js";
import { Store } from "./store.js";

const KEPT_MAX = 32;

/**
 * @typedef {object} Panel
 * @property {boolean} open
 * @property {object[]} docs all sources of the answer
 * @property {number} at index of the one shown
 * @property {"loading" | "shown" | "gone" | "withdrawn" | "failed"} state
 * @property {{text: string, span: [number, number], revision: string} | null} source
 */

/** @type {Store<Panel>} */
export const panel = new Store({ open: false, docs: [], at: 0, state: "loading", source: null });

// What an address serves never changes, so a source is fetched once.
const kept = new Map();

/** @param {object[]} docs @param {number} n the number cited */
export function openSource(docs, n) {
  const at = docs.findIndex((doc) => doc.n === n);
  if (at >= 0) show(docs, at);
}

/** @param {number} by 1 for the next source, -1 for the one before */
export function stepSource(by) {
  const { docs, at } = panel.value;
  show(docs, (at + by + docs.length) % docs.length);
}

export const retrySource = () => show(panel.value.docs, panel.value.at);

export const closeSource = () => panel.set({ open: false });

async function show(docs, at) {
  const doc = docs[at];
  const path = sourcePath(doc);
  const known = kept.get(path) ?? null;
  panel.set({ open: true, docs, at, state: known ? "shown" : "loading", source: known });
  if (known) return;
  try {
    const source = await api.source(doc);
    keep(path, source);
    if (isShown(doc)) panel.set({ state: "shown", source });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (isShown(doc)) panel.set({ state: absence(error) });
  }
}

const isShown = (doc) => panel.value.docs[panel.value.at] === doc;

function absence({ code, status }) {
  if (code === "withdrawn") return "withdrawn";
  return status === 404 || status === 410 ? "gone" : "failed";
}

function keep(path, source) {
  kept.set(path, source);
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
}
