// Who uses the page: asked at the start, and again whenever the server wants to know (401).
import { ApiError, api, whenRefused } from "./api.js";
import { Store } from "./store.js";

/**
 * @typedef {object} Access
 * @property {boolean} asked whether the server wants a key now: the page shows nothing else then
 * @property {string} tenant "" while unknown
 * @property {string} role "open" where nobody needs a key, "" while unknown
 */

/** @type {Store<Access>} */
export const access = new Store({ asked: false, role: "", tenant: "" });

whenRefused(() => !access.value.asked && access.set({ asked: true, role: "", tenant: "" }));

/** Whether the caller logged in with a key, and so may log out. */
export const keyed = ({ role }) => role !== "" && role !== "open";

/** Whether the caller is of the tenant that runs the cluster: only there is anything about all. */
export const ofCluster = ({ tenant }) => tenant === "default";

/** Whether the state of the cluster is for this caller to see; true while that is not known. */
export const seesCluster = (caller) =>
  caller.role === "" || ["open", "admin"].includes(caller.role) && ofCluster(caller);

/** Whether the example questions, which are about the sample shop, are answered for this caller. */
export const hasExamples = (caller) =>
  "examples" in document.documentElement.dataset && ["", "default"].includes(caller.tenant);

/** Whether the caller may change what is known. */
export const keepsKnowledge = ({ role }) => ["open", "admin", "editor"].includes(role);

/** Whether the page of those who run the cluster has something for the caller. */
export const runsCluster = ({ role }) => ["open", "admin", "editor", "agent"].includes(role);

/** Ask who we are; the page works without the answer, so an error of the line is no reason to stop. */
export async function lookWhoWeAre() {
  try {
    const { role, tenant } = await api.me();
    access.set({ role, tenant });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** @returns {Promise<{name: string, label: string}[]>} the issuers that one may log in with */
export async function issuersOffered() {
  try {
    return (await api.waysIn()).issuers;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return []; // a key still opens
  }
}

/** Where the browser goes to log in with an issuer, and from where it comes back to this page. */
export const addressOfLogin = (issuer) => {
  const back = location.pathname.startsWith("/admin") ? "/admin" : "/";
  return `/v1/login/oidc?issuer=${encodeURIComponent(issuer)}&back=${encodeURIComponent(back)}`;
};

/** How a login with an issuer went wrong, as the address says: "refused", "away", or "". */
export function failedLogin() {
  const told = new URLSearchParams(location.search).get("login");
  return ["refused", "away"].includes(told) ? told : "";
}

/** @returns {Promise<ApiError | null>} why the key does not open */
export async function logIn(key) {
  try {
    const { role, tenant } = await api.logIn(key);
    access.set({ asked: false, role, tenant });
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error;
  }
}

/** Forget the login and all that the page shows and remembers of it. */
export async function logOut() {
  let left;
  try {
    left = await api.logOut();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return; // still logged in, and so it looks
  }
  try {
    sessionStorage.clear();
  } catch {
    // Storage is forbidden: nothing lies there.
  }
  location.assign(left?.address ?? "/");
}
