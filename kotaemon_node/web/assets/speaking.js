// An answer for those who hear the page: whole sentences, as soon as each is there. Pure.

const SENTENCE_END = /[.!?…]["'”’)]*(?=\s)|[。！？…]["'”’）」』]*|\n+/gu;
const MARKS = / ?\[\d{1,3}\]|[*_`#>|~]+|^\s*[-+]\s+/gmu;
const BLANKS = /\s+/g;

/**
 * @param {string} text the answer so far
 * @param {number} from how much of it was said, in UTF-16 units
 * @param {boolean} whole whether nothing comes any more
 * @returns {{said: string, at: number}} what to say now, without Markdown; "" for nothing yet
 */
export function sentencesAfter(text, from, whole) {
  let at = from;
  if (whole) at = text.length;
  else {
    SENTENCE_END.lastIndex = from;
    for (let end = SENTENCE_END.exec(text); end !== null; end = SENTENCE_END.exec(text)) {
      at = SENTENCE_END.lastIndex;
    }
  }
  return { said: text.slice(from, at).replace(MARKS, "").replace(BLANKS, " ").trim(), at };
}
