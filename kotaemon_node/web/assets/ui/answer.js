// The text of an answer: Markdown in blocks, of which only the changed one is drawn again.
import { html, useMemo } from "../html.js";
import { localeOf } from "../i18n.js";
import { blockHtml, blocksOf } from "../markdown.js";
import { openSource } from "../sources.js";

export function Answer({ turn, words, running }) {
  const blocks = useMemo(() => blocksOf(turn.text), [turn.text]);
  const labels = useMemo(() => labelsOf(turn.sources, words), [turn.sources, words]);
  const open = (event) => {
    const button = event.target.closest("button[data-n]");
    if (button) openSource(turn.sources, Number(button.dataset.n));
  };
  return html`
    <div class=${`text ${running && turn.text ? "live" : ""}`} lang=${localeOf(turn.text)}
      aria-live="polite" aria-busy=${running} onClick=${open}>
      ${blocks.map(({ raw, token }, index) => html`
        <${Block} key=${index} raw=${raw} token=${token} labels=${labels} />`)}
    </div>
  `;
}

// A parse makes new tokens each time; the same source text means the same block.
const Block = ({ raw, token, labels }) => {
  const markup = useMemo(() => ({ __html: blockHtml(token, labels) }), [raw, labels]);
  return html`<div class="block" dangerouslySetInnerHTML=${markup}></div>`;
};

function labelsOf(sources, words) {
  return new Map(sources.map((doc) => [doc.n, words.cite(doc.n, doc.title || doc.document)]));
}
