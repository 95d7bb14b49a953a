// Code points and UTF-16 units. The server counts offsets and spans in code points, JavaScript
// strings in UTF-16 units: an emoji or a rare ideograph is one of the first and two of the second.

/** @param {string} text @returns {number} length of `text` in code points */
export function codePointLength(text) {
  let count = text.length;
  for (let unit = 0; unit < text.length - 1; unit += 1) {
    if (isPair(text, unit)) {
      count -= 1;
      unit += 1;
    }
  }
  return count;
}

/**
 * Where the code point number `offset` begins, in UTF-16 units; the end of the text where it is
 * shorter.
 * @param {string} text
 * @param {number} offset in code points, not negative
 * @param {{points: number, units: number}} [from] a place known before, to count on from there
 * @returns {number}
 */
export function unitIndex(text, offset, from = { points: 0, units: 0 }) {
  let units = from.units;
  for (let points = from.points; points < offset && units < text.length; points += 1) {
    units += isPair(text, units) ? 2 : 1;
  }
  return units;
}

/**
 * Cut a text at a half-open span of code points.
 * @param {string} text
 * @param {[number, number]} span
 * @returns {{before: string, cited: string, after: string}}
 */
export function cutAtSpan(text, [start, end]) {
  const from = unitIndex(text, start);
  const to = unitIndex(text, Math.max(start, end), { points: start, units: from });
  return { before: text.slice(0, from), cited: text.slice(from, to), after: text.slice(to) };
}

function isPair(text, unit) {
  const high = text.charCodeAt(unit);
  if (high < 0xd800 || high > 0xdbff) return false;
  const low = text.charCodeAt(unit + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}
