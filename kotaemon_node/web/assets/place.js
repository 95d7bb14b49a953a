// Which part of the page the address names: the conversation, or the FAQ behind `#faq`.
import { Store } from "./store.js";

const FAQ = "#faq";

/** @type {Store<{name: "chat" | "faq"}>} */
export const place = new Store({ name: nameOf() });

export function watchPlace() {
  addEventListener("hashchange", placeMoved);
  addEventListener("popstate", placeMoved);
}

/** Look where we are: the address was changed without an event. */
export function placeMoved() {
  const name = nameOf();
  if (name !== place.value.name) place.set({ name });
}

/** Back to the conversation that is open. */
export function toChat() {
  if (place.value.name === "chat") return;
  const address = new URL(location.href);
  address.hash = "";
  window.history.pushState(null, "", address);
  placeMoved();
}

/** `#faq-…` is a place on the FAQ's page. */
function nameOf() {
  return location.hash.startsWith(FAQ) ? "faq" : "chat";
}
