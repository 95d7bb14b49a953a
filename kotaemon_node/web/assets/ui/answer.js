// The text of an answer: Markdown in blocks, of which only the changed one is drawn again.
import { copyText } from "../copying.js";
import { html, memo, useMemo, useRef } from "../html.js";
import { localeOf } from "../i18n.js";
import { blockHtml, blocksOf } from "../markdown.js";
import { openSource } from "../sources.js";

const COPIED_SHOWN_MS = 1_500;
const JUDGED_BY = 500; // characters that tell the language of an answer

export function Answer({ turn, words, running }) {
  const before = useRef(undefined);
  const blocks = useMemo(() => {
    before.current = blocksOf(turn.text, before.current);
    return before.current.tokens.filter((token) => token.type !== "space");
  }, [turn.text]);
  const labels = useMemo(() => labelsOf(turn.sources, words), [turn.sources, words]);
  const open = (event) => {
    const copying = event.target.closest("button.copy-code");
    if (copying) copyCode(copying);
    const button = event.target.closest("button[data-n]");
    if (button) openSource(turn.sources, Number(button.dataset.n), quoteOf(button, event.currentTarget));
  };
  const locale = localeOf(turn.text.slice(0, JUDGED_BY));
  return html`
    <div class=${`text ${running && turn.text ? "live" : ""}`} lang=${locale}
      aria-busy=${running} onClick=${open}>
      ${blocks.map((token, index) => html`
        <${Block} key=${index} token=${token} labels=${labels} />`)}
    </div>
  `;
}

// The same source text means the same block, whatever token it was read into.
const Block = memo(({ token, labels }) => {
  const markup = useMemo(() => ({ __html: blockHtml(token, labels) }), [token.raw, labels]);
  return html`<div class="block" dangerouslySetInnerHTML=${markup}></div>`;
});

/** Of the marks of one source, which this is: each stands behind one of its quotes. */
function quoteOf(button, answer) {
  return [...answer.querySelectorAll(`[data-n="${button.dataset.n}"]`)].indexOf(button);
}

function labelsOf(sources, words) {
  const cited = sources.map((doc) => [doc.n, words.cite(doc.n, doc.title || doc.document)]);
  return new Map([...cited, ["copy", words.copyCode]]);
}

async function copyCode(button) {
  const code = button.closest("pre").querySelector("code").textContent;
  if (!(await copyText(code))) return;
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), COPIED_SHOWN_MS);
}
