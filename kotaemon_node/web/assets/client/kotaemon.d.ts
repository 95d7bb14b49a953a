// Types of kotaemon.js.

export interface ClientConfig {
  /** Address of the cluster; a page that the cluster serves leaves it out. */
  endpoint?: string;
  apiKey?: string;
  /** Of a request that is no stream; 15,000 where it is not said. */
  timeoutMs?: number;
  /** Of a request that is no stream and that may be sent twice; 3 where it is not said. */
  tries?: number;
  fetch?: typeof fetch;
  onUnauthenticated?: () => void;
}

export interface Link {
  state: "connecting" | "live" | "waiting";
  /** Failures since the last frame. */
  attempt: number;
  /** Pod of the connection, "" while unknown. */
  servedBy: string;
}

export interface FollowOptions {
  /** Number of the last frame that the caller has. */
  after?: number;
  /** The answer's text up to there; without it `TurnStream.text` is only what comes, until `done`. */
  text?: string;
  /** Ends the wait, not the turn: see `cancel`. */
  signal?: AbortSignal;
  onLink?: (link: Link) => void;
}

export interface MessageOptions extends FollowOptions {
  /** The same id twice is one turn. */
  turnId?: string;
  kb?: string;
  minGeneration?: number;
  /** The intents that plugins may answer; [] takes none. */
  intentFilter?: string[];
  onBusy?: "enqueue" | "reject" | "interrupt";
  submitted?: boolean;
}

export interface Source {
  id: string;
  /** The number cited as `[n]`. */
  n: number;
  title: string;
  document: string;
  revision: string;
  page: number | null;
  heading: string[];
  /** Half-open, in Unicode code points of the document's text. */
  span: [number, number];
  quotes?: [number, number][];
  kb: string;
  generation: number;
  url: string;
}

export type Frame = { turn_id?: string; seq?: number; trace_id?: string } & (
  | { type: "status"; phase: string; latency: number }
  | { type: "source"; docs: Source[] }
  | { type: "tool_call"; name: string; args: object | null; step?: string; later?: boolean;
      state: "started" | "done" | "failed" | "unknown" | "proposed"; result?: unknown }
  | { type: "text"; content: string; offset: number }
  | { type: "restart" }
  /** The store lost the turn: forget all of it, it begins again. */
  | { type: "reset" }
  | { type: "snapshot"; content: string; last: number }
  | { type: "handoff"; active: boolean; since: number; reason: string; by: string }
  | { type: "error"; code: string; message: string; retryable: boolean }
  | { type: "done"; state: "done" | "cancelled" | "interrupted"; answer: string; version: number;
      generation: Record<string, number>; usage: object; timings: object; degraded: string | null }
);

export interface Turn {
  turn_id: string;
  message: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  answer: string;
  sources: Source[];
  version: number;
  generation: Record<string, number>;
  owner: string | null;
  attempts: number;
  usage: Record<string, unknown>;
  timings: Record<string, number>;
  degraded: string | null;
  trace_id: string;
  [more: string]: unknown;
}

export interface Feedback {
  rating: "up" | "down";
  comment?: string;
}

export class ApiError extends Error {
  code: string;
  /** Of HTTP, 0 where there was no answer. */
  status: number;
  retryable: boolean;
  retryAfterMs: number | null;
  traceId: string;
}

/** The way back was not found within two minutes; the turn itself may well have been finished. */
export class ConnectionLost extends Error {}

/** The frames of one turn, to be read once. */
export class TurnStream implements AsyncIterable<Frame> {
  readonly turnId: string;
  /** The answer so far (see `FollowOptions.text` for a stream behind a frame): right also after a `restart`, a `snapshot` or a `reset`. */
  readonly text: string;
  [Symbol.asyncIterator](): AsyncGenerator<Frame>;
}

export class Session {
  readonly id: string;
  readonly epoch: string;
  sendMessage(text: string, options?: MessageOptions): Promise<Turn>;
  streamMessage(text: string, options?: MessageOptions): TurnStream;
  cancel(turnId: string): Promise<Turn>;
  feedback(turnId: string, said: Feedback): Promise<object>;
  history(options?: { afterVersion?: number; limit?: number }): Promise<SessionView>;
  delete(): Promise<null>;
}

export interface SessionView {
  session_id: string;
  epoch: string;
  version: number;
  turns: Turn[];
  [more: string]: unknown;
}

export class Client {
  constructor(config?: ClientConfig);
  createSession(about?: {
    userId?: string; channel?: string; context?: object;
    /** The same key again finds the session that it made. */
    idempotencyKey?: string;
  }): Promise<Session>;
  sessions(page?: { offset?: number; limit?: number }): Promise<{
    sessions: { session_id: string; title: string; active_at: number }[];
    next_offset: number | null;
  }>;
  session(sid: string, part?: { afterVersion?: number; limit?: number }): Promise<SessionView>;
  deleteSession(sid: string): Promise<null>;
  turn(sid: string, turnId: string): Promise<Turn>;
  sendMessage(sid: string, text: string, options?: MessageOptions): Promise<Turn>;
  streamMessage(sid: string, text: string, options?: MessageOptions): TurnStream;
  followTurn(sid: string, turnId: string, options?: FollowOptions): TurnStream;
  /** Returns true at its end where the session is to be read again. */
  followSession(
    sid: string, options?: { afterVersion?: number; signal?: AbortSignal; onLink?: (link: Link) => void },
  ): AsyncGenerator<Frame | { type: "turn"; turn_id: string; message: string; state: string }, boolean>;
  cancel(sid: string, turnId: string): Promise<Turn>;
  feedback(sid: string, turnId: string, said: Feedback): Promise<object>;
  handOff(sid: string, why?: { reason?: string }): Promise<object>;
  handBack(sid: string): Promise<object>;
  search(q: string, options?: { kb?: string; topK?: number; minGeneration?: number }): Promise<{
    generation: number;
    passages: { document: string; title: string; page: number | null; heading: string[];
      span: [number, number]; text: string; score: number; url: string }[];
  }>;
  source(doc: Source): Promise<{ text: string; span: [number, number]; [more: string]: unknown }>;
  me(): Promise<{ tenant: string; subject: string; role: string }>;
  /** One request to a route that has no method here. */
  json(method: string, path: string, body?: unknown, options?: {
    /** Whether it may be sent twice; without a word only GET may. */
    repeat?: boolean; tries?: number; signal?: AbortSignal; headers?: Record<string, string>;
  }): Promise<any>;
}

export function newId(): string;
/** The address of a cited passage; one outside `/v1/sources/` is never fetched. */
export function sourcePath(doc: Source): string;
/** The same as a page of its own, which brings the quotes into view. */
export function sourcePage(doc: Source): string;
