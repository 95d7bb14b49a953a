// Server-sent events as the WHATWG standard parses them, without I/O: bytes in, events out.
// The browser's EventSource cannot POST, cannot send Last-Event-ID on its first request and hides
// comments (our heartbeats); hence fetch and this parser.

/** While a turn runs its stream beats this often, else rarely; three missed: it is broken. */
export const HEARTBEAT_RUNNING_MS = 2_000;
export const HEARTBEAT_IDLE_MS = 20_000;
export const MISSED_HEARTBEATS = 3;

const CR = 13;
const LF = 10;

/**
 * @typedef {{type: string, data: string, id: string}} StreamEvent
 * `id` is the last id seen up to this event, "" when there was none.
 */

/** Give it the chunks as they arrive; it returns the events that became complete. */
export class EventParser {
  constructor() {
    // TextDecoder holds back a character split between chunks and drops a leading BOM.
    this.decoder = new TextDecoder("utf-8");
    this.rest = "";
    this.afterCR = false;
    this.lastId = "";
    /** @type {number | null} what the server asked for with `retry:`, in ms */
    this.retryMs = null;
    this.clear();
  }

  /** @param {Uint8Array} bytes @returns {StreamEvent[]} */
  push(bytes) {
    this.rest += this.decoder.decode(bytes, { stream: true });
    const events = [];
    let begin = 0;
    for (let at = 0; at < this.rest.length; at += 1) {
      const unit = this.rest.charCodeAt(at);
      if (unit === LF && this.afterCR) {
        // The second half of a CR LF, perhaps from the next chunk: the line has ended already.
        begin = at + 1;
      } else if (unit === LF || unit === CR) {
        this.line(this.rest.slice(begin, at), events);
        begin = at + 1;
      }
      this.afterCR = unit === CR;
    }
    this.rest = this.rest.slice(begin);
    return events;
  }

  line(line, events) {
    if (line === "") {
      if (this.data.length > 0) {
        events.push({ type: this.type || "message", data: this.data.join("\n"), id: this.lastId });
      }
      this.clear();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
  }

  clear() {
    this.type = "";
    this.data = [];
  }
}

/** The connection is silent for longer than three heartbeats. */
export class Silence extends Error {}

/**
 * Read events from a response body until it ends.
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => number} silenceMs how long the next chunk (a heartbeat counts) may take
 * @returns {AsyncGenerator<StreamEvent>}
 * @throws {Silence}
 */
export async function* readEvents(body, silenceMs) {
  const reader = body.getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), silenceMs());
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    // Not awaited: the cancel of a dead connection may never settle.
    reader.cancel().catch(() => undefined);
  }
}

function within(promise, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Silence(`no sign of life for ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
