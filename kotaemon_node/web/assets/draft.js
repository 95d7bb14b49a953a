// What stands in the field and is not sent yet.
import { Store } from "./store.js";

/** @type {Store<{text: string}>} */
export const draft = new Store({ text: "" });

/** Put a question into the field, to be changed and sent anew. */
export function editAgain(message) {
  draft.set({ text: message });
  const field = document.getElementById("question");
  field?.focus();
  // Behind the text, once it is drawn.
  requestAnimationFrame(() => field?.setSelectionRange(message.length, message.length));
}
