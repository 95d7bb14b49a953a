// Files on their way into a knowledge base: sent one after the other, then followed until they are
// read.
//
// A pod takes four uploads at once and says 429 to more: one at a time leaves room for others, and
// whoever says "later" is asked again later.
import { newId } from "../../api.js";
import { Store } from "../../store.js";
import { followJob, orderEnded } from "./orders.js";

const TRIES_MAX = 6;
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 30_000;
const RETRYABLE = new Set([0, 429, 502, 503, 504]);

/**
 * @typedef {object} UploadSeen
 * @property {string} id also that of its job @property {string} kb @property {File} file
 * @property {"waiting" | "sending" | "queued" | "running" | "done" | "failed"} state
 * @property {number} sent share, 0 to 1 @property {string} reason @property {number | null} generation
 */

/** @type {Store<{uploads: UploadSeen[]}>} */
export const uploading = new Store({ uploads: [] });

let sending = false;

/** @param {Iterable<File>} files */
export function upload(kb, files) {
  const fresh = Array.from(files, (file) => ({
    id: newId(), kb, file, state: "waiting", sent: 0, reason: "", generation: null,
  }));
  uploading.set(({ uploads }) => ({ uploads: [...uploads, ...fresh] }));
  sendNext();
}

/** Take those that have ended off the list. */
export const dropEnded = () =>
  uploading.set(({ uploads }) => ({ uploads: uploads.filter((one) => !ended(one)) }));

export const ended = ({ state }) => state === "done" || state === "failed";

async function sendNext() {
  if (sending) return;
  sending = true;
  for (;;) {
    const next = uploading.value.uploads.find(({ state }) => state === "waiting");
    if (!next) break;
    const failure = await sent(next);
    if (failure === null) {
      change(next.id, { state: "queued", sent: 1 });
      followed(next.id);
    } else {
      change(next.id, { state: "failed", reason: failure });
    }
  }
  sending = false;
}

async function followed(id) {
  await followJob(id, (told) => change(id, told));
  for (const listener of [...orderEnded]) listener();
}

/** Send a file, perhaps several times: its job's id makes a repeat harmless. Returns why not. */
async function sent({ id, kb, file }) {
  for (let attempt = 1; ; attempt += 1) {
    change(id, { state: "sending", sent: 0 });
    const { status, message, retryAfterMs } = await once(id, kb, file);
    if (status === 202) return null;
    if (!RETRYABLE.has(status) || attempt === TRIES_MAX) return message || `HTTP ${status}`;
    await rest(Math.min(retryAfterMs ?? AGAIN_MS * 2 ** attempt, AGAIN_MS_MAX));
  }
}

/** `fetch` does not tell how much was sent. */
function once(id, kb, file) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/knowledge/${encodeURIComponent(kb)}/documents?job=${id}`);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) =>
      change(id, { sent: total > 0 ? loaded / total : 0 }));
    request.addEventListener("loadend", () => {
      const seconds = Number(request.getResponseHeader("Retry-After") || Number.NaN);
      done({
        status: request.status,
        message: messageOf(request.responseText),
        retryAfterMs: Number.isFinite(seconds) ? seconds * 1000 : null,
      });
    });
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

function messageOf(text) {
  try {
    return JSON.parse(text).error?.message ?? "";
  } catch {
    return "";
  }
}

const change = (id, fields) =>
  uploading.setOften(({ uploads }) => ({
    uploads: uploads.map((one) => (one.id === id ? { ...one, ...fields } : one)),
  }));

const rest = (ms) => new Promise((wake) => setTimeout(wake, ms));
