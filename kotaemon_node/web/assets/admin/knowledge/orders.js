// Orders that this visit gave: each is a job that the leading coordinator carries out.
import { ApiError, json, newId } from "../../api.js";
import { Store } from "../../store.js";

const LOOK_MS = 500;
const LOOK_MS_MAX = 4_000;
const SHOWN_MAX = 12;

/**
 * @typedef {object} OrderSeen
 * @property {string} id @property {string} kind @property {string} about
 * @property {"sending" | "queued" | "running" | "done" | "failed"} state
 * @property {string} reason @property {number | null} generation
 */

/** @type {Store<{orders: OrderSeen[]}>} */
export const orders = new Store({ orders: [] });

/** Told of each order that has ended. */
export const orderEnded = new Set();

/**
 * Give an order and follow it to its end. The job's id is ours, so a repeat is harmless.
 * @param {string} kind @param {string} about what it is about, for people
 * @param {(job: string) => Promise<any>} send
 */
export async function order(kind, about, send) {
  const id = newId();
  const fresh = { id, kind, about, state: "sending", reason: "", generation: null };
  orders.set(({ orders: known }) => ({ orders: [fresh, ...known].slice(0, SHOWN_MAX) }));
  try {
    await send(id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    change(id, { state: "failed", reason: error.message });
    return;
  }
  await followJob(id, (told) => change(id, told));
  for (const listener of [...orderEnded]) listener();
}

export const dropOrder = (id) =>
  orders.set(({ orders: known }) => ({ orders: known.filter((one) => one.id !== id) }));

/**
 * Ask after a job until it has ended; what stands between is asked again.
 * @param {(told: {state: string, reason: string, generation: number | null}) => void} tell
 * @returns {Promise<"done" | "failed">}
 */
export async function followJob(id, tell) {
  for (let look = 0; ; look += 1) {
    await rest(Math.min(LOOK_MS * 1.3 ** look, LOOK_MS_MAX));
    let told;
    try {
      told = await json("GET", `/v1/jobs/${encodeURIComponent(id)}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (![401, 403, 404].includes(error.status)) continue; // the job itself goes on
      told = { state: "failed", reason: error.message };
    }
    tell({ state: told.state, reason: told.reason ?? "", generation: told.result?.generation ?? null });
    if (told.state === "done" || told.state === "failed") return told.state;
  }
}

const change = (id, fields) =>
  orders.set(({ orders: known }) => ({
    orders: known.map((one) => (one.id === id ? { ...one, ...fields } : one)),
  }));

const rest = (ms) => new Promise((wake) => setTimeout(wake, ms));
