// A question put to the search alone: which passages come, in which order, with which scores.
import { json } from "../../api.js";
import { html, useState } from "../../html.js";
import { localeOf } from "../../i18n.js";
import { Empty, ErrorNote, Waiting } from "../parts/notes.js";
import { useDoing } from "../reading.js";
import { piecesOf } from "./highlight.js";

const TOP_K_MAX = 50;
const TOP_K = 8;

export function SearchTester({ texts, kb }) {
  const { t } = texts;
  const { busy, error, run } = useDoing();
  const [found, setFound] = useState(null);
  const search = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const q = form.get("q").trim();
    if (!q) return;
    const query = new URLSearchParams({ q, kb, top_k: form.get("top_k") });
    const began = performance.now();
    run(async () => {
      const told = await json("GET", `/v1/search?${query}`);
      setFound({ q, told, tookS: (performance.now() - began) / 1000 });
    });
  };
  return html`
    <form class="bar" onSubmit=${search}>
      <input class="input grow" name="q" required maxlength="2000" aria-label=${t.question}
        placeholder=${t.question} autocomplete="off" />
      <label class="inline-label">${t.topK}
        <input class="input tiny" name="top_k" type="number" min="1" max=${TOP_K_MAX} value=${TOP_K} required /></label>
      <button type="submit" class="primary" aria-disabled=${busy}>${t.search}</button>
    </form>
    <${ErrorNote} texts=${texts} error=${error} />
    ${busy && found === null && html`<${Waiting} texts=${texts} />`}
    ${found !== null && html`<${Found} texts=${texts} found=${found} />`}
  `;
}

function Found({ texts, found: { q, told, tookS } }) {
  const { t, f } = texts;
  if (told.passages.length === 0) return html`<${Empty} title=${t.nothingFound} text=${t.nothingFoundText} />`;
  const best = Math.max(...told.passages.map(({ score }) => score), Number.MIN_VALUE);
  return html`
    <p class="muted" role="status">${t.foundIn(f.number(told.passages.length), told.generation, f.took(tookS))}</p>
    <ol class="hits">${told.passages.map((passage, at) => html`
      <${Hit} key=${passage.id} texts=${texts} passage=${passage} rank=${at + 1} best=${best} q=${q} />`)}</ol>
  `;
}

const Hit = ({ texts: { t, f }, passage, rank, best, q }) => html`
  <li class="hit">
    <div class="hit-head">
      <span class="number">${rank}</span>
      <a class="link" href=${passage.url} target="_blank" rel="noopener">${passage.title || passage.document}</a>
      <span class="gap"></span>
      <meter min="0" max=${best} value=${Math.max(0, passage.score)} aria-hidden="true"></meter>
      <span class="hit-score" title=${t.score}><span class="hidden">${t.score} </span>${f.score(passage.score)}</span>
    </div>
    <p class="muted">${[passage.document, ...passage.heading, passage.page && t.page(passage.page)].filter(Boolean).join(" › ")}</p>
    <p class="hit-text" lang=${localeOf(passage.text)}>${piecesOf(passage.text, q).map(({ text, marked }) =>
      (marked ? html`<mark>${text}</mark>` : text))}</p>
  </li>
`;
