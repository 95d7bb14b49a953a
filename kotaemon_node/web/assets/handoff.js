// A person has the conversation, or the bot has: what the server says of it, and how to change it.
import { ApiError, api } from "./api.js";
import { conversation } from "./conversation.js";

/** Ask for a person. @returns {Promise<ApiError | null>} why it was not heard */
export const callPerson = () => hand((sid) => api.handOff(sid));

/** Let the bot answer again. @returns {Promise<ApiError | null>} */
export const backToBot = () => hand((sid) => api.handBack(sid));

async function hand(how) {
  const { sid } = conversation.value;
  try {
    const { handoff } = await how(sid);
    if (conversation.value.sid === sid) conversation.set({ handoff });
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error;
  }
}

/** What a frame says of who has the conversation; undefined where it says nothing of it. */
export function handoffSaid(frame) {
  if (frame.type === "handoff") {
    const { active, since, reason, by } = frame;
    return active ? { since, reason, by } : null;
  }
  // It was handed off before this page began to listen.
  if (frame.type === "done" && frame.handoff) return { since: 0, reason: "", by: "" };
  return undefined;
}
