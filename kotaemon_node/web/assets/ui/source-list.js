// "Why this answer": the passages that the answer cites, as a list to open.
import { html } from "../html.js";
import { openSource } from "../sources.js";

export function SourceList({ docs, cited, words }) {
  const used = docs.filter((doc) => cited.includes(doc.n));
  if (used.length === 0) return null;
  return html`
    <section class="why" aria-label=${words.why}>
      <h3>${words.why}<span>${words.sourceCount(used.length)}</span></h3>
      <ol>
        ${used.map((doc) => html`
          <li key=${doc.n}><button type="button" onClick=${() => openSource(docs, doc.n)}>
            <span class="number">${doc.n}</span>
            <span class="why-title">${doc.title || doc.document}</span>
            <span class="why-place">${placeOf(doc, words)}</span>
          </button></li>`)}
      </ol>
    </section>
  `;
}

/** Where in the document: the headings above it (without the title, said already) and the page. */
export function placeOf(doc, words) {
  const headings = headingsOf(doc).filter((heading) => heading !== doc.title);
  const page = doc.page === null || doc.page === undefined ? [] : [words.page(doc.page)];
  return [...headings, ...page].join(" › ") || doc.document;
}

/** The heading path, outermost first, told as a list or as one line. */
export const headingsOf = ({ heading }) =>
  Array.isArray(heading) ? heading : (heading ?? "").split(" › ").filter(Boolean);
