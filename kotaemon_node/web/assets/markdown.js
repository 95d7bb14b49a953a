// An answer's Markdown as safe HTML, block by block.
//
// Answers quote documents that anybody may have written, so the text is treated as hostile: no
// HTML of its own, no images, links only to http(s) and never followed by themselves. marked makes
// the markup, DOMPurify lets through only what stands in the lists below, and the content security
// policy of the page is the third wall.
import { Marked, Renderer } from "./vendor/marked.js";
import "./vendor/purify.js"; // the small build of it is no module and leaves a global

const TAGS = [
  "a", "b", "blockquote", "br", "button", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr",
  "input", "li", "ol", "p", "pre", "span", "strong", "table", "tbody", "td", "th", "thead", "tr",
  "ul",
];
const ATTRIBUTES = [
  "align", "aria-label", "checked", "class", "data-n", "disabled", "href", "rel", "start",
  "tabindex", "target", "title", "type",
];
const SAFE_LINK = /^https?:\/\//i;

// Characters that show nothing but change what is read: controls, bidirectional overrides,
// zero-width spaces, tags. The joiner U+200D stays: emoji are made with it.
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/gu;

// A number alone at the beginning of a line looks lost, so a citation takes along the word before
// it (in Chinese: the character) and stays with it. Neither holds anything that Markdown could mean.
const WITH_WORD =
  /(?:[\p{Script=Latin}\p{N}$€%.,;:'’”")–-]{1,24}|[^\s[\]*_`<>|\\~])?(?: ?\[\d{1,3}\]){1,3}/u;
const AT_START = new RegExp(`^${WITH_WORD.source}`, "u");
const NUMBER = /\[(\d{1,3})\]/g;

const citation = {
  name: "citation",
  level: "inline",
  start: (text) => WITH_WORD.exec(text)?.index,
  tokenizer(text) {
    const match = AT_START.exec(text);
    return match ? { type: "citation", raw: match[0] } : undefined;
  },
  renderer({ raw }) {
    const linked = escape(raw).replace(NUMBER, (text, n) => button(Number(n)) ?? text);
    return `<span class="cited">${linked}</span>`;
  },
};

// A row of a table that is quoted by itself, without the line of dashes that would make it a table.
const ROWS = /^(?:\| [^\n]+ \|(?: ?\[\d{1,3}\])*[^\S\n]*(?:\n|$))+/;
const ROW = /^\| (.+) \|((?: ?\[\d{1,3}\])*)\s*$/;

const quotedRows = {
  name: "rows",
  level: "block",
  start: (text) => /(?:^|\n)\| /.exec(text)?.index,
  tokenizer(text) {
    const match = ROWS.exec(text);
    if (!match || /^[^\n]*\n\|?[ :]*-/.test(text)) return undefined;
    const rows = match[0].trimEnd().split("\n").map((line) => {
      const [, cells, citations] = ROW.exec(line);
      return `${cells}${citations}`.split(" | ").map((cell) => this.lexer.inlineTokens(cell));
    });
    return { type: "rows", raw: match[0], rows };
  },
  renderer({ rows }) {
    const drawn = rows.map((cells) =>
      `<tr>${cells.map((cell) => `<td>${this.parser.parseInline(cell)}</td>`).join("")}</tr>`);
    return `<div class="wide" tabindex="0"><table><tbody>${drawn.join("")}</tbody></table></div>`;
  },
};

const marked = new Marked({ gfm: true, breaks: true }, {
  extensions: [citation, quotedRows],
  tokenizer: {
    html: () => undefined, // markup is text
    tag: () => undefined,
    def: () => undefined, // `[1]: …` would swallow a line and turn a citation into a link
  },
  renderer: {
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 2); // the page itself owns h1 and h2
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    html: ({ text }) => escape(text),
    code({ text, lang }) {
      const language = /^[\w+#.-]{1,20}/.exec(lang ?? "")?.[0] ?? "";
      const label = labels.get("copy");
      const button = label === undefined ? "" : `<button type="button" class="copy-code"`
        + ` aria-label="${escape(label)}" title="${escape(label)}"></button>`;
      const named = language && `<span class="code-language">${escape(language)}</span>`;
      // Focusable so that arrow keys can scroll it.
      return `<pre tabindex="0">${named}${button}<code>${escape(text)}\n</code></pre>`;
    },
    link({ href, tokens }) {
      return anchor(href, this.parser.parseInline(tokens));
    },
    image: ({ href, text }) => anchor(href, escape(text || href)),
    table(token) {
      // The wrapper scrolls, the page does not; focusable so that arrow keys can scroll it.
      return `<div class="wide" tabindex="0">${Renderer.prototype.table.call(this, token)}</div>`;
    },
  },
});

// What a citation is called, while one block is made. marked has no argument to pass it through;
// the work is synchronous, so nobody sees another block's value.
let labels = new Map();

const { DOMPurify } = globalThis;

/**
 * @typedef {object} Blocks an answer in top-level blocks
 * @property {string} text what they were made from
 * @property {object[]} tokens with the blank lines between them, so that together they are the text
 *
 * @param {string} text
 * @param {Blocks} [before] of an earlier state of the same answer: while text arrives only the end
 *   changes, so only that is read again and a long answer costs no more than a short one
 * @returns {Blocks}
 */
export function blocksOf(text, before = { text: "", tokens: [] }) {
  const visible = text.replace(INVISIBLE, "");
  const settled = visible.startsWith(before.text) ? settledTokens(before.tokens) : [];
  const length = settled.reduce((sum, token) => sum + token.raw.length, 0);
  return { text: visible, tokens: [...settled, ...marked.lexer(visible.slice(length))] };
}

/**
 * What the next piece cannot change: all before the blank line before the last two blocks. Two,
 * since a line that begins with "2" may still become the next item of the list before it.
 */
function settledTokens(tokens) {
  const isBlock = (token) => token.type !== "space";
  let count = tokens.slice(0, tokens.findLastIndex(isBlock)).findLastIndex(isBlock);
  while (count > 0 && !/\n[ \t]*\n$/.test(tokens[count - 1].raw)) count -= 1;
  return tokens.slice(0, Math.max(0, count));
}

/**
 * @param {object} token of one block
 * @param {Map<number | "copy", string>} citationLabels number of each source to what its button
 *   says; under "copy" what the button of code says, which is left out without it
 * @returns {string} HTML that is safe to insert
 */
export function blockHtml(token, citationLabels) {
  labels = citationLabels;
  return DOMPurify.sanitize(marked.parser([token]), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
}

/** The numbers cited in a text, each once, in order. @returns {number[]} */
export function citedNumbers(text) {
  const found = Array.from(text.matchAll(NUMBER), ([, n]) => Number(n));
  return [...new Set(found)];
}

function button(n) {
  const label = labels.get(n);
  if (label === undefined) return null;
  const text = escape(label);
  return `<button type="button" class="cite" data-n="${n}" aria-label="${text}" title="${text}">${n}</button>`;
}

function anchor(href, content) {
  if (!SAFE_LINK.test(href)) return content;
  const address = escape(href);
  return `<a href="${address}" title="${address}" target="_blank" rel="noopener noreferrer nofollow">${content}</a>`;
}

function escape(text) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}
