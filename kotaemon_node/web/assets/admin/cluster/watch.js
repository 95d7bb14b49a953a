// How the cluster is, second by second: the pods that live, those that went, and what happened.
import { Store } from "../../store.js";

const GONE_SHOWN_MS = 90_000;
const HAPPENED_MAX = 30;

/**
 * @typedef {object} PodSeen
 * @property {string} name
 * @property {"ready" | "behind" | "leaving" | "unready" | "gone"} state
 * @property {string[]} reasons why it is not ready
 * @property {number} running turns
 * @property {number} takenOver turns of other pods, since it started
 * @property {{kb: string, generation: number}[]} generations
 * @property {{name: string, version: string | null, next: string | null, problem: string}[]} plugins
 * @property {string} address @property {string} version @property {number} startedAt
 * @property {string} incarnation @property {number} goneAt ms, of one that went
 *
 * @typedef {{at: number, what: string, pod: string, count?: number, generation?: number}} Happening
 */

/** @type {Store<{pods: PodSeen[], told: object | null, happened: Happening[]}>} */
export const seen = new Store({ pods: [], told: null, happened: [] });

/** Take what the server says now. */
export function take(told, nowMs = Date.now()) {
  const before = seen.value;
  const living = told.pods.map(podSeen);
  const names = new Set(living.map(({ name }) => name));
  const gone = before.pods
    .filter(({ name }) => !names.has(name))
    .map((pod) => (pod.state === "gone" ? pod : { ...pod, state: "gone", goneAt: nowMs }))
    .filter(({ goneAt }) => nowMs - goneAt < GONE_SHOWN_MS);
  const news = before.told === null ? [] : happenings(before, living, gone, told, nowMs);
  seen.set({
    pods: [...living, ...gone].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })),
    told,
    happened: [...news, ...before.happened].slice(0, HAPPENED_MAX),
  });
}

function podSeen(pod) {
  return {
    name: String(pod.name),
    state: stateOf(pod),
    reasons: pod.reasons ?? [],
    running: pod.running_turns ?? 0,
    takenOver: pod.taken_over ?? 0,
    generations: Object.entries(pod.generations ?? {})
      .map(([kb, served]) => ({ kb, generation: served.generation }))
      .sort((a, b) => a.kb.localeCompare(b.kb)),
    plugins: Object.entries(pod.plugins ?? {}).map(([name, has]) => ({
      name, version: has.version ?? null, next: has.next ?? null, problem: has.problem ?? "",
    })),
    address: pod.address ?? "",
    version: pod.version ?? "",
    settings: pod.settings ?? "",
    startedAt: pod.started_at ?? 0,
    incarnation: pod.incarnation ?? "",
    goneAt: 0,
  };
}

function stateOf(pod) {
  if ((pod.reasons ?? []).some((reason) => reason.includes("leaving"))) return "leaving";
  if (Object.keys(pod.behind ?? {}).length > 0) return "behind";
  return pod.ready ? "ready" : "unready";
}

function happenings(before, living, gone, told, at) {
  const was = new Map(before.pods.map((pod) => [pod.name, pod]));
  const news = [];
  for (const pod of gone) {
    const old = was.get(pod.name);
    if (old.state !== "gone") news.push({ at, what: "gone", pod: pod.name, count: old.running });
  }
  for (const pod of living) {
    const old = was.get(pod.name);
    if (!old || old.incarnation !== pod.incarnation) {
      // It died and was started again between two looks.
      if (old && old.state !== "gone") {
        news.push({ at, what: "gone", pod: pod.name, count: old.running });
      }
      news.push({ at, what: "came", pod: pod.name });
      if (pod.takenOver > 0) news.push({ at, what: "took", pod: pod.name, count: pod.takenOver });
      continue;
    }
    if (pod.takenOver > old.takenOver) {
      news.push({ at, what: "took", pod: pod.name, count: pod.takenOver - old.takenOver });
    }
    if (pod.state !== old.state) news.push({ at, what: pod.state, pod: pod.name });
  }
  for (const { kb, generation, converged } of told.knowledge ?? []) {
    const old = before.told.knowledge?.find((row) => row.kb === kb);
    if (converged && (!old?.converged || old.generation !== generation)) {
      news.push({ at, what: "agreed", pod: kb, generation });
    }
  }
  return news.reverse();
}
