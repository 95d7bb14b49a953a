// Questions that were not answered well: what people may answer for everybody.
import { ApiError, api } from "./api.js";
import { ordered } from "./faq.js";
import { Store } from "./store.js";

/**
 * @typedef {object} Drafts
 * @property {string} kb
 * @property {object[]} rows as the server tells them, asked most often first
 * @property {number} total
 * @property {string | null} answering id of the draft whose form is open
 */

/** @type {Store<Drafts>} */
export const drafts = new Store({ kb: "default", rows: [], total: 0, answering: null });

/** Read them; a knowledge base that cannot tell any has none. */
export async function refreshDrafts(kb) {
  drafts.set({ kb, rows: [], total: 0, answering: null });
  try {
    const told = await api.drafts(kb);
    if (drafts.value.kb === kb) drafts.set({ rows: told.drafts ?? [], total: told.total ?? 0 });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

export const beginAnswer = (draft) => drafts.set({ answering: draft.id });

export const leaveAnswer = () => drafts.set({ answering: null });

/** @returns {Promise<ApiError | null>} why it was not taken */
export async function acceptDraft(draft, { question, answer }) {
  const { kb } = drafts.value;
  try {
    const order = await api.acceptDraft(kb, draft.id, { question, answer });
    remove(draft);
    const others = [draft.question, ...draft.variants].filter((one) => one !== question);
    ordered(kb, { id: order.id, question, answer, tags: [], variants: others }, order);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error;
  }
}

/** @returns {Promise<ApiError | null>} why it was not taken */
export async function dismissDraft(draft) {
  try {
    await api.dismissDraft(drafts.value.kb, draft.id);
    remove(draft);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error;
  }
}

const remove = ({ id }) => drafts.set(({ rows, total }) => ({
  rows: rows.filter((one) => one.id !== id), total: total - 1, answering: null,
}));
