// A cited span in a text that may be a whole book: which part of it to draw. Pure.
import { cutAtSpan } from "./client/codepoints.js";
import { localeOf } from "./i18n.js";

export const AROUND_UNITS = 3_000;
const HEADING = /^[^\n|•].{0,90}$/u;
const SENTENCE_END = /[.!?:;,。！？：；，、…|]\s*$/u;

/**
 * @param {{text: string, span: [number, number]}} source span in code points
 * @param {{before: number, after: number}} around how much to show, in UTF-16 units
 * @returns {{before: string, cited: string, after: string, moreBefore: boolean,
 *   moreAfter: boolean}} `before` begins and `after` ends at a line's border where they are cut
 */
export function passageWindow({ text, span }, around) {
  const whole = cutAtSpan(text, span);
  const before = lastPart(whole.before, around.before);
  const after = firstPart(whole.after, around.after);
  return {
    before,
    cited: whole.cited,
    after,
    moreBefore: before.length < whole.before.length,
    moreAfter: after.length < whole.after.length,
  };
}

/**
 * Cut a cited passage at its quotes. Joined again the parts are the passage, to the letter.
 * @param {string} cited
 * @param {number} start where it begins in its document, in code points
 * @param {[number, number][]} quotes spans of the document; none: all of it is quoted
 * @returns {{text: string, quote: number | null}[]} `quote` is the index of the one that a part is
 */
export function quotedParts(cited, start, quotes) {
  if (!quotes?.length) return [{ text: cited, quote: 0 }];
  const parts = [];
  let [rest, at] = [cited, start];
  for (const [quote, [from, to]] of quotes.entries()) {
    const cut = cutAtSpan(rest, [Math.max(0, from - at), Math.max(0, to - at)]);
    parts.push({ text: cut.before, quote: null }, { text: cut.cited, quote });
    [rest, at] = [cut.after, Math.max(at, to)];
  }
  parts.push({ text: rest, quote: null });
  return parts.filter(({ text }) => text !== "");
}

function lastPart(text, units) {
  if (text.length <= units) return text;
  const lineEnd = text.indexOf("\n", text.length - units);
  return lineEnd < 0 ? text.slice(charStart(text, text.length - units)) : text.slice(lineEnd + 1);
}

function firstPart(text, units) {
  if (text.length <= units) return text;
  const lineEnd = text.lastIndexOf("\n", units);
  return lineEnd < 0 ? text.slice(0, charStart(text, units)) : text.slice(0, lineEnd);
}

/** Never between the two units of one character. */
function charStart(text, at) {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at + 1 : at;
}

/**
 * Split a part of a text into runs of equal look. Joined again they are the part, to the letter.
 * The text has no markup, so a heading is guessed: a short paragraph of one line that does not end
 * like a sentence.
 * @param {string} part
 * @param {boolean} atStart whether the part begins a paragraph
 * @returns {{text: string, look: "heading" | "table" | "plain", locale: string}[]}
 */
export function runsOf(part, atStart) {
  const runs = [];
  for (const [index, piece] of part.split(/(\n\n+)/).entries()) {
    const whole = index > 0 || atStart;
    if (piece === "") continue;
    const last = runs.at(-1);
    const blank = piece.startsWith("\n\n");
    const look = whole && !blank ? lookOf(piece) : "plain";
    const locale = blank && last ? last.locale : localeOf(piece); // a document may mix languages
    if (look === "plain" && last?.look === look && last.locale === locale) last.text += piece;
    else runs.push({ text: piece, look, locale });
  }
  return runs;
}

function lookOf(paragraph) {
  if (paragraph.startsWith("| ")) return "table";
  return HEADING.test(paragraph) && !SENTENCE_END.test(paragraph) ? "heading" : "plain";
}
