// The text of an answer, put together from frames. Pure: values in, values out.
import { codePointLength, unitIndex } from "./codepoints.js";

/** @typedef {{text: string, length: number}} AnswerText `length` in code points */

/** @type {AnswerText} */
export const NO_TEXT = Object.freeze({ text: "", length: 0 });

/** @param {string} text @returns {AnswerText} */
export const wholeText = (text) => ({ text, length: codePointLength(text) });

const FRAMES = {
  text: (before, { content, offset = before.length }) => withPiece(before, content, offset),
  restart: () => NO_TEXT,
  reset: () => NO_TEXT,
  snapshot: (_before, { content }) => wholeText(content),
  done: (before, { answer }) => (typeof answer === "string" ? wholeText(answer) : before),
};

/**
 * @param {AnswerText} before
 * @param {{type: string}} frame as sent, or our own `reset`
 * @returns {AnswerText} the same value where the frame says nothing of the text
 */
export function textAfter(before, frame) {
  return Object.hasOwn(FRAMES, frame.type) ? FRAMES[frame.type](before, frame) : before;
}

/**
 * Whether a frame goes on where the text ends; one that does not was read past something.
 * @param {AnswerText} before
 */
export function fits({ length }, { type, offset = length }) {
  return type !== "text" || offset === length;
}

// `offset` is where the piece stands, so a piece that comes again changes nothing.
function withPiece({ text, length }, content, offset) {
  if (offset === length) return { text: text + content, length: length + codePointLength(content) };
  const from = unitIndex(text, offset);
  return wholeText(text.slice(0, from) + content + text.slice(from + content.length));
}
