// How an answer came about: its steps in time, the passages with their scores, the prompt.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { Read } from "../parts/notes.js";
import { useReading } from "../reading.js";
import { Waterfall } from "./waterfall.js";

const PASSAGES_MAX = 50;

export function Trace({ texts, traceId, sid, turnId }) {
  const query = new URLSearchParams({ session_id: sid, turn_id: turnId });
  const reading = useReading(
    () => json("GET", `/v1/traces/${encodeURIComponent(traceId)}?${query}`), [traceId, turnId]);
  return html`
    <div class="trace-box" data-trace=${traceId}>
      <${Read} texts=${texts} reading=${reading} draw=${(record) => html`<${Record} texts=${texts} record=${record} />`} />
    </div>
  `;
}

function Record({ texts, record }) {
  const { t, f } = texts;
  const total = record.timings.total_s ?? record.timings.total ?? 0;
  return html`
    <h3 class="section-title">${t.steps}</h3>
    <${Waterfall} texts=${texts} phases=${record.phases} totalS=${total} />
    <h3 class="section-title">${t.passages}</h3>
    ${record.passages.length === 0
      ? html`<p class="muted">${t.noPassages}</p>`
      : html`<${Passages} texts=${texts} record=${record} />`}
    <dl class="pairs wide">
      <dt>${t.podsInOrder}</dt><dd>${podsOf(record)} · ${t.attempts(record.attempts)}</dd>
      ${record.knowledge.kb && html`<dt>${t.base}</dt><dd>${record.knowledge.kb} · ${t.generationNumber(record.knowledge.generation)}</dd>`}
      <dt>${t.profile}</dt><dd><code>${record.profile.fingerprint?.slice(0, 12) ?? "–"}</code></dd>
      ${record.usage.prompt_tokens !== undefined && html`
        <dt>${t.usage}</dt><dd>${t.tokens(f.number(record.usage.prompt_tokens), f.number(record.usage.completion_tokens))} · ${t.costOf(f.cost(record.usage.cost))}</dd>`}
      <dt>${t.timings}</dt><dd>${Object.entries(record.timings).map(([name, value]) => html`
        <span key=${name} class="chip">${name.replace(/_s$/, "")} <b>${f.took(value)}</b></span>`)}</dd>
      ${record.degraded && html`<dt>${texts.words.degraded}</dt><dd>${texts.words.degradedWhy[record.degraded] ?? record.degraded}</dd>`}
      ${record.error && html`<dt>${t.error}</dt><dd class="reason">${record.error.message}</dd>`}
      <dt>${texts.words.trace}</dt><dd><code>${record.trace_id}</code></dd>
    </dl>
    ${record.prompt && html`<details><summary>${t.prompt}</summary>
      <pre class="document-text">${JSON.stringify(record.prompt, null, 2)}</pre></details>`}
    <details><summary>${t.noted}</summary>
      <pre class="document-text">${JSON.stringify({ asked: record.asked, steps: record.steps, rounds: record.rounds, profile: record.profile }, null, 2)}</pre></details>
  `;
}

/** Its owners in order, without their incarnations. */
const podsOf = ({ pods }) => pods.map((pod) => pod.replace(/\.[^.]*$/, "")).join(" → ");

function Passages({ texts: { t, f }, record }) {
  const names = [...new Set(record.passages.flatMap(({ scores }) => Object.keys(scores)))]
    .filter((name) => record.passages.some(({ scores }) => typeof scores[name] === "number"));
  const cited = new Set(record.cited);
  return html`
    <div class="table-box" tabindex="0" role="region" aria-label=${t.passages}>
      <table class="table">
        <thead><tr><th scope="col">#</th><th scope="col">${t.document}</th>
          ${names.map((name) => html`<th key=${name} scope="col" class="num">${name}</th>`)}
          <th scope="col">${t.cited}</th></tr></thead>
        <tbody>${record.passages.slice(0, PASSAGES_MAX).map((row) => html`
          <tr key=${row.id}><td>${row.n}</td>
            <td><a class="link" href=${row.url} target="_blank" rel="noopener">${row.title || row.document}</a></td>
            ${names.map((name) => html`<td key=${name} class="num">${f.score(row.scores[name])}</td>`)}
            <td>${cited.has(row.id) ? t.yesCited : ""}</td></tr>`)}</tbody>
      </table>
    </div>
  `;
}
