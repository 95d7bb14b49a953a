// Cited passages in their documents, and which of them the panel shows.
import { ApiError, api } from "./api.js";
import { Store } from "./store.js";

/**
 * @typedef {object} Panel
 * @property {boolean} open
 * @property {object[]} docs all sources of the answer
 * @property {number} at index of the one shown
 * @property {number} quote index of the quote that is brought into view
 * @property {"loading" | "shown" | "gone" | "withdrawn" | "failed"} state
 * @property {{text: string, span: [number, number], revision: string} | null} source
 */

/** @type {Store<Panel>} */
export const panel = new Store({ open: false, docs: [], at: 0, quote: 0, state: "loading", source: null });

/**
 * @param {object[]} docs
 * @param {number} n the number cited
 * @param {number} [quote] which of the source's quotes was cited
 */
export function openSource(docs, n, quote = 0) {
  const at = docs.findIndex((doc) => doc.n === n);
  if (at >= 0) show(docs, at, quote);
}

/** @param {number} by 1 for the next source, -1 for the one before */
export function stepSource(by) {
  const { docs, at } = panel.value;
  show(docs, (at + by + docs.length) % docs.length, 0);
}

export function retrySource() {
  const { docs, at, quote } = panel.value;
  show(docs, at, quote);
}

export const closeSource = () => panel.set({ open: false });

// Fetched each time: the browser keeps a copy for as long as the server allows, and not longer, for
// a source may be withdrawn.
async function show(docs, at, quote) {
  const doc = docs[at];
  const { open, docs: shown, at: place, state } = panel.value;
  if (open && state === "shown" && shown[place] === doc) {
    panel.set({ docs, at, quote });
    return;
  }
  panel.set({ open: true, docs, at, quote, state: "loading", source: null });
  try {
    const source = await api.source(doc);
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
