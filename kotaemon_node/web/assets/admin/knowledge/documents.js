// The documents of a knowledge base: looked through, opened, removed.
import { json } from "../../api.js";
import { html, useRef, useState } from "../../html.js";
import { Bin } from "../../ui/icons.js";
import { Confirm } from "../parts/confirm.js";
import { Badge, Empty, Read } from "../parts/notes.js";
import { useReading } from "../reading.js";
import { hrefOf } from "../route.js";
import { order } from "./orders.js";

const PAGE = 50;
const TYPING_MS = 250;
const LOOK_MS = 4_000;
const STATES = ["indexed", "queued", "failed"];
const TONES = { indexed: "ready", queued: "degraded", failed: "down" };

export function Documents({ texts, kb, ended }) {
  const { t } = texts;
  const [wanted, setWanted] = useState({ q: "", status: "", offset: 0 });
  const path = `/v1/knowledge/${encodeURIComponent(kb)}/documents`;
  const query = new URLSearchParams({ limit: PAGE, offset: wanted.offset });
  if (wanted.q) query.set("q", wanted.q);
  if (wanted.status) query.set("status", wanted.status);
  const reading = useReading(() => orEmpty(json("GET", `${path}?${query}`)),
    [kb, wanted, ended], { everyMs: LOOK_MS });
  return html`
    <div class="bar">
      <${Search} t=${t} onWanted=${(q) => setWanted({ ...wanted, q, offset: 0 })} />
      <label class="inline-label">${t.status}
        <select class="input" onChange=${(event) => setWanted({ ...wanted, status: event.currentTarget.value, offset: 0 })}>
          <option value="">${t.all}</option>
          ${STATES.map((state) => html`<option key=${state} value=${state}>${t.documentStates[state]}</option>`)}
        </select></label>
    </div>
    <${Read} texts=${texts} reading=${reading} draw=${(page) => html`
      ${page.documents.length === 0
        ? html`<${Empty} title=${wanted.q || wanted.status ? t.noneFound : t.noDocuments} />`
        : html`<${Rows} texts=${texts} kb=${kb} path=${path} rows=${page.documents} />`}
      <${Pages} t=${t} offset=${wanted.offset} next=${page.next_offset}
        onPage=${(offset) => setWanted({ ...wanted, offset })} />`} />
  `;
}

async function orEmpty(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.status === 404) return { documents: [], next_offset: null };
    throw error;
  }
}

function Search({ t, onWanted }) {
  const timer = useRef(0);
  const latest = useRef(onWanted);
  latest.current = onWanted;
  const typed = (event) => {
    const q = event.currentTarget.value.trim();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => latest.current(q), TYPING_MS);
  };
  return html`
    <input class="input grow" type="search" maxlength="200" aria-label=${t.findDocument}
      placeholder=${t.findDocument} autocomplete="off" onInput=${typed} />
  `;
}

function Rows({ texts, kb, path, rows }) {
  const { t } = texts;
  return html`
    <div class="table-box" tabindex="0" role="region" aria-label=${t.documents}>
      <table class="table stack">
        <thead><tr><th scope="col">${t.document}</th><th scope="col">${t.status}</th>
          <th scope="col" class="num">${t.passages}</th><th scope="col" class="num">${t.size}</th>
          <th scope="col">${t.indexedAt}</th><th scope="col"><span class="hidden">${t.actions}</span></th></tr></thead>
        <tbody>${rows.map((row) => html`
          <${Row} key=${row.document} texts=${texts} kb=${kb} path=${path} row=${row} />`)}</tbody>
      </table>
    </div>
  `;
}

function Row({ texts: { t, f }, kb, path, row }) {
  const remove = (purge) => () =>
    order(purge ? "purge" : "delete", row.document, (job) => {
      const name = row.document.split("/").map(encodeURIComponent).join("/");
      return json("DELETE", `${path}/${name}?job=${job}${purge ? "&purge=true" : ""}`);
    });
  return html`
    <tr data-document=${row.document} data-status=${row.status}>
      <td><a class="link" href=${hrefOf("knowledge", kb, "document", row.document)}>${row.document}</a>
        ${row.title && row.title !== row.document && html`<p class="muted">${row.title}</p>`}
        ${row.reason && html`<p class="reason">${row.reason}</p>`}</td>
      <td><${Badge} tone=${TONES[row.status]}>${t.documentStates[row.status]}<//>
        ${row.queued_revision && row.status !== "queued" && html`<p class="muted">${t.newerWaits}</p>`}</td>
      <td class="num" data-label=${t.passages}>${row.status === "indexed" ? f.number(row.passages) : "–"}</td>
      <td class="num" data-label=${t.size}>${f.bytes(row.file_bytes)}</td>
      <td data-label=${t.indexedAt}>${f.moment(row.indexed_at)}</td>
      <td class="row-actions">
        <${Confirm} t=${t} label=${html`<${Bin} />`} name=${`${t.remove}: ${row.document}`} ask=${t.askDelete}
          onConfirm=${remove(false)} />
        <${Confirm} t=${t} label=${t.purge} name=${`${t.purge}: ${row.document}`} ask=${t.askPurge}
          onConfirm=${remove(true)} /></td>
    </tr>
  `;
}

export function Pages({ t, offset, next, onPage, size = PAGE }) {
  if (offset === 0 && next === null) return null;
  return html`
    <nav class="pages" aria-label=${t.pages}>
      <button type="button" class="small" disabled=${offset === 0}
        onClick=${() => onPage(Math.max(0, offset - size))}>${t.pageBefore}</button>
      <span class="muted">${t.pageNumber(offset / size + 1)}</span>
      <button type="button" class="small" disabled=${next === null} onClick=${() => onPage(next)}>
        ${t.pageNext}</button>
    </nav>
  `;
}
