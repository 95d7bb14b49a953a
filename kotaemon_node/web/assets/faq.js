// The entries of an FAQ: what is listed, what is being written, and what became of it.
//
// A change is an order: it is taken at once and live when a generation holds it. Until then its
// entry says so, and the page asks after the order.
import { ApiError, api, newId } from "./api.js";
import { Store } from "./store.js";

const PAGE = 50;
const LOOK_MS = 400;
const LOOK_MS_MAX = 5_000; // a large folder may take minutes to read
const LOOKS_MAX = 200;
const SLUG_CHARS_MAX = 48;
const SUFFIX_CHARS = 6;

/**
 * @typedef {object} Change
 * @property {"saving" | "waiting" | "live" | "removed" | "failed"} state
 * @property {number} [generation] the one that has it
 * @property {{code: string, message: string}} [error]
 *
 * @typedef {object} Faq
 * @property {string} kb
 * @property {string} wanted words that are looked for
 * @property {object[]} entries as the server tells them
 * @property {number} total
 * @property {number | null} next where the next page begins
 * @property {boolean} complete
 * @property {"idle" | "loading" | "failed"} state
 * @property {object | null} error
 * @property {object | null} editing the entry in the form; `id` is null for a new one
 * @property {Record<string, Change>} changes by id, of this visit
 */

/** @type {Store<Faq>} */
export const faq = new Store({
  kb: "default",
  wanted: "",
  entries: [],
  total: 0,
  next: null,
  complete: true,
  state: "idle",
  error: null,
  editing: null,
  changes: {},
});

let asked = 0;

/** Read the first page. @param {number} [minGeneration] what has to be in it */
export const refreshFaq = (minGeneration = 0) => load(0, minGeneration);

export const moreFaq = () => load(faq.value.next ?? 0);

export function lookFor(wanted) {
  faq.set({ wanted });
  return load(0);
}

export function openBase(kb) {
  faq.set({ kb, entries: [], total: 0, next: null, editing: null, changes: {} });
  return load(0);
}

export const beginEntry = () =>
  faq.set({ editing: { id: null, question: "", answer: "", tags: [], variants: [] } });

export const editEntry = (entry) => faq.set({ editing: entry });

export const leaveForm = () => faq.set({ editing: null });

/**
 * Save what the form holds.
 * @returns {Promise<ApiError | null>} why it was not taken
 */
export async function saveEntry({ id, question, answer, tags, variants }) {
  const { kb } = faq.value;
  const entryId = id ?? freshId(question);
  change(entryId, { state: "saving" });
  try {
    const order = await api.putFaq(kb, entryId, { question, answer, tags, variants });
    faq.set({ editing: null });
    ordered(kb, { id: entryId, question, answer, tags, variants }, order, id !== null);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    forget(entryId);
    return error;
  }
}

/** Show an entry that was ordered, and what becomes of it. */
export function ordered(kb, said, order, isKnown = false) {
  const entry = {
    ...said, kb, document: order.document, managed: true, state: isKnown ? "changing" : "queued",
    reason: null, url: null, changed_at: null,
  };
  faq.set(({ entries, total }) => ({
    entries: [entry, ...entries.filter((one) => one.id !== entry.id)],
    total: entries.some((one) => one.id === entry.id) ? total : total + 1,
  }));
  follow(kb, entry.id, order.job, "live");
}

export async function removeEntry({ id }) {
  const { kb } = faq.value;
  change(id, { state: "saving" });
  try {
    const order = await api.deleteFaq(kb, id);
    follow(kb, id, order.job, "removed");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    change(id, { state: "failed", error });
  }
}

/** Ask after an order until it has ended, then show what is served. */
async function follow(kb, id, job, done) {
  change(id, { state: "waiting" });
  const mine = faq.value.changes[id];
  const stillMine = () => faq.value.kb === kb && faq.value.changes[id] === mine;
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    await rest(Math.min(LOOK_MS * 1.2 ** look, LOOK_MS_MAX));
    if (!stillMine()) return;
    let told;
    try {
      told = await api.job(job);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401 || error.status === 404) return;
      continue; // the line, or a pod that is away: the order goes on
    }
    if (!stillMine()) return;
    if (told.state === "failed") {
      change(id, { state: "failed", error: { code: "order_failed", message: told.reason } });
      return;
    }
    if (told.state === "done") {
      const generation = told.result?.generation;
      change(id, { state: done, generation });
      await load(0, generation ?? 0);
      return;
    }
  }
}

async function load(offset, minGeneration = 0) {
  const { kb, wanted } = faq.value;
  asked += 1;
  const mine = asked;
  faq.set({ state: "loading", error: null });
  try {
    const told = await api.faq(kb, { wanted, offset, limit: PAGE, minGeneration });
    if (mine !== asked) return; // something else is looked for now
    const kept = faq.value.entries.slice(0, offset);
    const known = new Set(kept.map(({ id }) => id));
    faq.set({
      entries: [...kept, ...told.entries.filter(({ id }) => !known.has(id))],
      total: told.total,
      next: told.next_offset,
      complete: told.complete,
      state: "idle",
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (mine !== asked) return;
    // A knowledge base begins to be one with its first document.
    if (error.status === 404) faq.set({ entries: [], total: 0, next: null, state: "idle" });
    else faq.set({ state: "failed", error });
  }
}

const change = (id, what) =>
  faq.set(({ changes }) => ({ changes: { ...changes, [id]: what } }));

function forget(id) {
  faq.set(({ changes }) => {
    const { [id]: _, ...others } = changes;
    return { changes: others };
  });
}

/** A file is called by it: readable where the question is, and never one that is there. */
function freshId(question) {
  const words = question.toLowerCase().normalize("NFKD").match(/[a-z0-9]+/g) ?? [];
  const slug = words.join("-").slice(0, SLUG_CHARS_MAX).replace(/-$/, "") || "faq";
  return `${slug}-${newId().slice(0, SUFFIX_CHARS)}`;
}

const rest = (ms) => new Promise((wake) => setTimeout(wake, ms));
