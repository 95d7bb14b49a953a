// What the user says of an answer: one word, which may be changed.
import { ApiError, api } from "./api.js";
import { conversation } from "./conversation.js";

/**
 * Say whether an answer was good. It is shown at once, and taken back where the server did not hear.
 * @param {"up" | "down"} rating
 * @param {string} [comment] what was good or bad, in the user's words
 * @returns {Promise<boolean>} whether the server heard it
 */
export async function rate(turn, rating, comment) {
  const { sid } = conversation.value;
  show(turn.id, rating);
  try {
    await api.feedback(sid, turn.id, { rating, comment });
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    show(turn.id, turn.rating);
    return false;
  }
}

const show = (turnId, rating) => conversation.set(({ turns }) => ({
  turns: turns.map((turn) => (turn.id === turnId ? { ...turn, rating } : turn)),
}));
