// The generations that are kept, and the way back to one of them.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { Confirm } from "../parts/confirm.js";
import { Badge, Empty, Read } from "../parts/notes.js";
import { useReading } from "../reading.js";
import { order } from "./orders.js";

const LOOK_MS = 5_000;

export function Generations({ texts, kb, ended }) {
  const { t } = texts;
  const path = `/v1/knowledge/${encodeURIComponent(kb)}`;
  const reading = useReading(() => json("GET", `${path}/generations`), [kb, ended], { everyMs: LOOK_MS });
  const back = (generation) => () =>
    order("rollback", `${kb} → ${generation}`, (job) =>
      json("POST", `${path}/rollback`, { generation, job }));
  return html`
    <p class="muted">${t.rollbackHelp}</p>
    <${Read} texts=${texts} reading=${reading} draw=${({ generations }) => generations.length === 0
      ? html`<${Empty} title=${t.noGenerations} />`
      : html`
        <div class="table-box" tabindex="0" role="region" aria-label=${t.knowledgeTabs.generations}>
          <table class="table stack">
            <thead><tr><th scope="col">${t.generation}</th><th scope="col">${t.made}</th>
              <th scope="col" class="num">${t.documents}</th><th scope="col" class="num">${t.passages}</th>
              <th scope="col">${t.status}</th><th scope="col"><span class="hidden">${t.actions}</span></th></tr></thead>
            <tbody>${generations.map((row) => html`
              <${Row} key=${row.digest} texts=${texts} row=${row} onBack=${back(row.generation)} />`)}</tbody>
          </table>
        </div>`} />
  `;
}

const Row = ({ texts: { t, f }, row, onBack }) => html`
  <tr data-generation=${row.generation} data-served=${row.served}>
    <td><b>${f.number(row.generation)}</b>
      ${row.rolled_back_to !== null && html` <span class="muted">${t.contentOf(row.rolled_back_to)}</span>`}
      <p class="muted"><code>${row.digest.slice(0, 12)}</code> ${row.encoder}</p></td>
    <td data-label=${t.made}>${f.moment(row.created_at)}</td>
    <td class="num" data-label=${t.documents}>${f.number(row.documents)}</td>
    <td class="num" data-label=${t.passages}>${f.number(row.passages)}</td>
    <td>${row.served
      ? html`<${Badge} tone="ready">${t.served}<//>`
      : html`<span class="muted">${row.complete ? t.kept : t.textsOnly}</span>`}</td>
    <td class="row-actions">${row.complete && !row.served && html`
      <${Confirm} t=${t} label=${t.goBack} name=${`${t.goBack}: ${row.generation}`}
        ask=${t.askRollback(row.generation)} onConfirm=${onBack} />`}</td>
  </tr>
`;
