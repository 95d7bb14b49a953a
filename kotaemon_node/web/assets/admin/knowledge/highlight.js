// Which pieces of a passage are words of a question. Pure: values in, values out.

const WORD_CHARS_MIN = 3;
const TERMS_MAX = 40;
const HAN = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+/g;
const LETTERS = /[\p{L}\p{N}]+/gu;

/**
 * @param {string} text @param {string} question
 * @returns {{text: string, marked: boolean}[]} the whole text, in pieces
 */
export function piecesOf(text, question) {
  const terms = termsOf(question);
  if (terms.length === 0) return [{ text, marked: false }];
  // Terms are letters and digits alone: nothing in them means more to a pattern.
  const pattern = new RegExp(`(${terms.join("|")})`, "giu");
  // What stands between is at the even places.
  return text.split(pattern)
    .map((piece, at) => ({ text: piece, marked: at % 2 === 1 }))
    .filter((piece) => piece.text !== "");
}

/** Words of three letters and more, and pairs of Han characters; the longest first. */
function termsOf(question) {
  const han = question.match(HAN) ?? [];
  const pairs = han.flatMap((run) => {
    const characters = [...run];
    return characters.length === 1
      ? characters
      : characters.slice(1).map((character, at) => characters[at] + character);
  });
  const words = (question.replace(HAN, " ").match(LETTERS) ?? [])
    .filter((word) => word.length >= WORD_CHARS_MIN);
  return [...new Set([...words, ...pairs])]
    .sort((a, b) => b.length - a.length)
    .slice(0, TERMS_MAX);
}
