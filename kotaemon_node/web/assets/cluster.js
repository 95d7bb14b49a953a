// How the cluster is, asked while somebody looks.
import { access, seesCluster } from "./access.js";
import { ApiError, api } from "./api.js";
import { Store } from "./store.js";

const ASK_EVERY_MS = 5_000;
const MISSED_FOR_MS = 60_000; // a pod that went away is shown as missing this long

/**
 * @typedef {object} Cluster
 * @property {"unknown" | "ready" | "degraded" | "down"} state
 * @property {{name: string, ready: boolean, running: number,
 *   generations: [string, number][]}[]} pods
 * @property {boolean} converged
 */

/** @type {Store<Cluster>} */
export const cluster = new Store({ state: "unknown", pods: [], converged: true });

/** Ask now and then for ever, but not while the page is hidden. */
export function watchCluster() {
  let timer = 0;
  const again = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    if (!access.value.asked && seesCluster(access.value)) await refreshCluster();
    timer = setTimeout(again, ASK_EVERY_MS);
  };
  document.addEventListener("visibilitychange", again);
  again();
}

export async function refreshCluster() {
  try {
    cluster.set(seen(await api.cluster()));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return;
    // Not for this caller to see: the page learns of its role at the same time.
    cluster.set({ state: error.status === 403 ? "unknown" : "down" });
  }
}

// When each pod was last told of: one that dies leaves the list at once, but should be missed.
const lastTold = new Map();

function seen(told) {
  const living = (told.pods ?? []).map((pod) => ({
    name: pod.name,
    ready: pod.ready === true,
    running: pod.running_turns ?? 0,
    generations: Object.entries(pod.generations ?? {}).map(([kb, served]) => [
      kb,
      typeof served === "object" ? served.generation : served,
    ]),
  }));
  const pods = [...living, ...missing(living)].sort((a, b) => a.name.localeCompare(b.name));
  const converged = told.converged !== false;
  const well = converged && pods.length > 0 && pods.every((pod) => pod.ready);
  return { state: well ? "ready" : "degraded", pods, converged };
}

function missing(living) {
  const now = Date.now();
  for (const { name } of living) lastTold.set(name, now);
  for (const [name, at] of lastTold) if (now - at > MISSED_FOR_MS) lastTold.delete(name);
  const names = new Set(living.map(({ name }) => name));
  return [...lastTold.keys()]
    .filter((name) => !names.has(name))
    .map((name) => ({ name, ready: false, running: 0, generations: [] }));
}
