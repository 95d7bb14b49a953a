// The document behind a citation, as it was then, with the cited passage marked.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { sourcePage } from "../api.js";
import { AROUND_UNITS, passageWindow, quotedParts, runsOf } from "../passage.js";
import { closeSource, panel, retrySource, stepSource } from "../sources.js";
import { useStore } from "../store.js";
import { Back, Close, Forward, Leave, Page } from "./icons.js";
import { headingsOf } from "./source-list.js";

const MORE_FACTOR = 8;
const REVISION_SHOWN = 10;

export function SourcePanel({ words, modal }) {
  const { docs, at, quote, state, source } = useStore(panel);
  const doc = docs[at];
  const title = useRef(null);
  useFocus(title);
  return html`
    <aside class="source" role=${modal ? "dialog" : "complementary"} aria-modal=${modal || undefined}
      aria-labelledby="source-title" onKeyDown=${modal ? keepFocusInside : undefined}>
      <div class="source-bar">
        <span class="number">${doc.n}</span>
        <span class="source-word">${words.source}</span>
        <span class="gap"></span>
        ${docs.length > 1 && html`
          <button type="button" class="tool" aria-label=${words.previous} title=${words.previous}
            onClick=${() => stepSource(-1)}><${Back} /></button>
          <span class="source-at">${words.sourceOf(at + 1, docs.length)}</span>
          <button type="button" class="tool" aria-label=${words.next} title=${words.next}
            onClick=${() => stepSource(1)}><${Forward} /></button>`}
        <a class="tool" href=${sourcePage(doc)} target="_blank" rel="noopener"
          aria-label=${words.openPage} title=${words.openPage}><${Leave} /></a>
        <button type="button" class="tool" aria-label=${words.close} title=${words.close}
          onClick=${closeSource}><${Close} /></button>
      </div>
      <div class="source-head">
        <h2 id="source-title" tabindex="-1" ref=${title}>${doc.title || doc.document}</h2>
        <${Path} doc=${doc} />
        <${Facts} doc=${doc} source=${source} words=${words} />
      </div>
      ${state === "shown"
        ? html`<${Document} key=${`${doc.url} ${doc.id}`} source=${source}
            quotes=${doc.quotes ?? []} quote=${quote} words=${words} />`
        : html`<${Absent} state=${state} words=${words} />`}
    </aside>
  `;
}

function Path({ doc }) {
  const headings = headingsOf(doc).filter((heading) => heading !== doc.title);
  if (headings.length === 0) return null;
  return html`<p class="source-path">${headings.join(" › ")}</p>`;
}

function Facts({ doc, source, words }) {
  const revision = doc.revision ?? source?.revision ?? "";
  const hasPage = doc.page !== null && doc.page !== undefined;
  return html`
    <dl class="facts">
      <div><dt>${words.document}</dt><dd><${Page} />${doc.document}</dd></div>
      ${hasPage && html`<div><dt>${words.pageLabel}</dt><dd>${doc.page}</dd></div>`}
      <div><dt>${words.knowledge}</dt><dd>${words.generation(doc.kb, doc.generation)}</dd></div>
      <div><dt>${words.revision}</dt>
        <dd><code title=${revision}>${String(revision).slice(0, REVISION_SHOWN)}</code></dd></div>
    </dl>
  `;
}

const ABSENCES = {
  gone: "sourceGone",
  withdrawn: "sourceWithdrawn",
  failed: "sourceFailed",
};

function Absent({ state, words }) {
  if (state === "loading") {
    return html`
      <div class="source-text" role="status">
        <span class="hidden">${words.sourceLoading}</span>
        <i class="skeleton"></i><i class="skeleton"></i><i class="skeleton short"></i>
      </div>
    `;
  }
  return html`
    <div class="source-text source-absent" role="alert">
      <p>${words[ABSENCES[state]]}</p>
      ${state === "failed" && html`
        <button type="button" class="small" onClick=${retrySource}>${words.tryAgain}</button>`}
    </div>
  `;
}

function Document({ source, quotes, quote, words }) {
  const [around, setAround] = useState({ before: AROUND_UNITS, after: AROUND_UNITS });
  const part = useMemo(() => passageWindow(source, around), [source, around]);
  const shown = quote < quotes.length ? quote : 0; // a text may hold what looks like a mark
  const box = useRef(null);
  const mark = useRef(null);
  useLayoutEffect(() => bringIntoView(box.current, mark.current), [source, quote]);
  const grow = (side) => () => {
    const fromEnd = box.current.scrollHeight - box.current.scrollTop;
    setAround((now) => ({ ...now, [side]: now[side] * MORE_FACTOR }));
    // Text put in above must not move what is being read.
    if (side === "before") keepPlace(box.current, fromEnd);
  };
  return html`
    <div class="source-text" ref=${box} tabindex="0">
      ${part.moreBefore && html`
        <button type="button" class="link more" onClick=${grow("before")}>${words.earlierText}</button>`}
      <div class="document" dir="auto">${[
        drawn(part.before, true),
        html`<span class="passage">${quoted(part, source, quotes).map(({ text, quote: at, whole }) =>
          at === null
            ? drawn(text, whole)
            : html`<mark class=${at === shown && quotes.length > 1 ? "here" : ""}
                ref=${at === shown ? mark : null}>${drawn(text, whole)}</mark>`)}</span>`,
        drawn(part.after, endsParagraph(part.cited)),
      ]}</div>
      ${part.moreAfter && html`
        <button type="button" class="link more" onClick=${grow("after")}>${words.laterText}</button>`}
    </div>
  `;
}

/** The parts of the passage, and whether each begins a paragraph. */
function quoted(part, source, quotes) {
  let before = part.before;
  return quotedParts(part.cited, source.span[0], quotes).map(({ text, quote }) => {
    const whole = endsParagraph(before);
    before = text;
    return { text, quote, whole };
  });
}

const endsParagraph = (text) => text === "" || text.endsWith("\n\n");

const drawn = (text, atStart) =>
  runsOf(text, atStart).map((run) =>
    html`<span class=${run.look} lang=${run.locale}>${run.text}</span>`);

/** The passage in the middle; one that is too long, from its beginning. */
function bringIntoView(box, mark) {
  const from = mark.getBoundingClientRect().top - box.getBoundingClientRect().top + box.scrollTop;
  const space = box.clientHeight - mark.getBoundingClientRect().height;
  box.scrollTop = from - Math.max(box.clientHeight / 8, space / 2);
}

function keepPlace(box, fromEnd) {
  requestAnimationFrame(() => {
    box.scrollTop = box.scrollHeight - fromEnd;
  });
}

/** The title takes the focus when the panel opens; what had it before gets it back. */
function useFocus(title) {
  useLayoutEffect(() => {
    const before = document.activeElement;
    title.current.focus({ preventScroll: true });
    return () => {
      // A frame later: until then the page behind a sheet is still inert and takes no focus.
      requestAnimationFrame(() => before?.isConnected && before.focus({ preventScroll: true }));
    };
  }, []);
}

function keepFocusInside(event) {
  if (event.key !== "Tab") return;
  const stops = [...event.currentTarget.querySelectorAll("button, a[href], [tabindex='0']")];
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  const onEdge = document.activeElement === edge
    || (event.shiftKey && !stops.includes(document.activeElement));
  if (!onEdge) return;
  event.preventDefault();
  (event.shiftKey ? stops.at(-1) : stops[0]).focus();
}
