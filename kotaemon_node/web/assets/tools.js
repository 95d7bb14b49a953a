// What tools do in a turn, and what an answer then wants to hear. Pure: values in, values out.

/**
 * @typedef {object} ToolCall
 * @property {string} step which call of the turn it is, "" where the server does not say
 * @property {string} name
 * @property {"started" | "later" | "done" | "failed" | "unknown" | "proposed"} state `later`: it
 *   goes on behind the turn
 * @property {object | null} args
 * @property {unknown} result undefined while there is none
 *
 * @typedef {{kind: "yes" | "choice", choices: string[]}} Asks `yes`: a proposal waits for it
 */

const CHOICES_MAX = 8;

/** @param {ToolCall[]} tools @param {object} frame a `tool_call` @returns {ToolCall[]} */
export function withTool(tools, frame) {
  const call = {
    step: frame.step ?? "",
    name: frame.name,
    state: frame.state === "started" && frame.later ? "later" : frame.state,
    args: frame.args ?? null,
    result: frame.result,
  };
  const same = tools.findIndex((tool) => tool.name === call.name
    && (call.step === "" ? tool.state === "started" : tool.step === call.step));
  return same < 0 ? [...tools, call] : tools.map((tool, at) => (at === same ? call : tool));
}

/**
 * What the user is asked because of a call: a proposal wants a yes, a question may name choices.
 * @returns {Asks | null | undefined} null: nothing any more; undefined: this frame does not tell
 */
export function asksFor({ state, result }) {
  if (state === "proposed") return { kind: "yes", choices: [] };
  if (state === "started") return undefined;
  if (state !== "done" || result === null || typeof result !== "object") return null;
  if (typeof result.propose === "object") return { kind: "yes", choices: [] };
  return choiceOf(result.ask?.choices);
}

/** The same, as a session tells it that is read. @returns {Asks | null} */
export function asksWaiting({ kind, choices }) {
  return kind === "yes" ? { kind, choices: [] } : choiceOf(choices);
}

function choiceOf(choices) {
  if (!Array.isArray(choices) || choices.length === 0) return null;
  return { kind: "choice", choices: choices.slice(0, CHOICES_MAX).map(String) };
}
