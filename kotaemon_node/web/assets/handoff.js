// Hands the conversation to a person, and back to the bot.
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
