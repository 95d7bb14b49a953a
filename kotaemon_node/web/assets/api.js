// The page's client of the cluster: the library, and the routes that only a page needs.
import { Client } from "./client/kotaemon.js";

export { ApiError, newId, sourcePage } from "./client/kotaemon.js";

let tellRefused = () => {};

/** Have `tell` called whenever the server wants to know who asks (401). */
export function whenRefused(tell) {
  tellRefused = tell;
}

const part = encodeURIComponent;

class PageClient extends Client {
  cluster() {
    return this.json("GET", "/v1/cluster");
  }

  waysIn() {
    return this.json("GET", "/v1/login");
  }

  logIn(key) {
    return this.json("POST", "/v1/login", { key });
  }

  logOut() {
    return this.json("POST", "/v1/logout", {});
  }

  faq(kb, { wanted = "", offset = 0, limit = 50, minGeneration = 0 } = {}) {
    return this.json("GET", `/v1/faq?kb=${part(kb)}&q=${part(wanted)}&offset=${offset}`
      + `&limit=${limit}&min_generation=${minGeneration}`);
  }

  putFaq(kb, id, entry) {
    return this.json("PUT", `/v1/faq/${part(id)}?kb=${part(kb)}`, entry);
  }

  deleteFaq(kb, id) {
    return this.json("DELETE", `/v1/faq/${part(id)}?kb=${part(kb)}`);
  }

  drafts(kb) {
    return this.json("GET", `/v1/faq/drafts?kb=${part(kb)}`);
  }

  acceptDraft(kb, id, entry) {
    return this.json("POST", `/v1/faq/drafts/${part(id)}/accept?kb=${part(kb)}`, entry);
  }

  dismissDraft(kb, id) {
    return this.json("DELETE", `/v1/faq/drafts/${part(id)}?kb=${part(kb)}`);
  }

  job(id) {
    return this.json("GET", `/v1/jobs/${part(id)}`);
  }
}

// Its views look again by themselves, and say meanwhile what is wrong.
export const api = new PageClient({ tries: 1, onUnauthenticated: () => tellRefused() });

/** One request and its answer as JSON; throws `ApiError`. For routes without a method above. */
export const json = (method, path, body) => api.json(method, path, body);
