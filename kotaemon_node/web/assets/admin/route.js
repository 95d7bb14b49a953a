// Where we are on the admin page: `#/knowledge/shop/search` names the view and a place in it.
import { Store } from "../store.js";

/** @type {Store<{view: string, place: string[]}>} */
export const route = new Store(parsed(location.hash));

export function watchRoute() {
  addEventListener("hashchange", () => route.set(parsed(location.hash)));
}

/** The address of a place; what it is made of may hold any characters. */
export const hrefOf = (view, ...place) => `#/${[view, ...place].map(encodeURIComponent).join("/")}`;

export function go(view, ...place) {
  location.hash = hrefOf(view, ...place);
}

/** The same without a step in the browser's history. */
export function goSilently(view, ...place) {
  history.replaceState(null, "", hrefOf(view, ...place));
  route.set(parsed(location.hash));
}

function parsed(hash) {
  const [view = "", ...place] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  return { view, place };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody typed a lone percent sign
  }
}
