// What can go wrong, in one form.

/** What the server said no with, or that it could not be reached (`code` "network"). */
export class ApiError extends Error {
  constructor({ code, message, status = 0, retryable = false, retryAfterMs = null, traceId = "" }) {
    super(message);
    this.name = "ApiError";
    /** @type {string} as listed in the documentation; "network", or `http_…` without a known body */
    this.code = code;
    /** @type {number} of HTTP, 0 where there was no answer */
    this.status = status;
    /** @type {boolean} whether the same request may go well later */
    this.retryable = retryable;
    /** @type {number | null} what the server asked to wait */
    this.retryAfterMs = retryAfterMs;
    /** @type {string} under which the server's log knows it */
    this.traceId = traceId;
  }
}

/** The way back was not found in time; the turn itself may well have been finished. */
export class ConnectionLost extends Error {
  constructor(message) {
    super(message);
    this.name = "ConnectionLost";
  }
}
