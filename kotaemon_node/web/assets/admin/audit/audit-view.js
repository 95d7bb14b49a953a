// Who did what: the audit log's entries, the newest first.
import { json } from "../../api.js";
import { html, useState } from "../../html.js";
import { Badge, Empty, ErrorNote, Read } from "../parts/notes.js";
import { useDoing, useReading } from "../reading.js";

const LIMIT = 50;
const OUTCOMES = ["done", "refused", "failed"];
const TONES = { done: "", refused: "degraded", failed: "down" };

const asked = (wanted, before = "") => {
  const said = Object.entries({ ...wanted, before, limit: LIMIT }).filter(([, value]) => value !== "");
  return json("GET", `/v1/audit?${new URLSearchParams(said)}`);
};

export function AuditView({ texts }) {
  const { t } = texts;
  const [wanted, setWanted] = useState({ tenant: "", action: "", outcome: "", subject: "", target: "" });
  const reading = useReading(() => asked(wanted), [JSON.stringify(wanted)]);
  const choose = (name) => (event) => setWanted({ ...wanted, [name]: event.currentTarget.value.trim() });
  const tenants = reading.value?.tenants ?? [];
  return html`
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title" class="view-title">${t.views.audit}</h1>
      <p class="muted">${t.auditLead}</p>
      <div class="bar">
        ${tenants.length > 1 && html`<label class="inline-label">${t.auditTenant}
          <select class="input" name="tenant" onChange=${choose("tenant")}>
            <option value="">–</option>
            ${tenants.map((name) => html`<option key=${name} value=${name} selected=${name === wanted.tenant}>${name}</option>`)}
          </select></label>`}
        ${["action", "subject", "target"].map((name) => html`<label key=${name} class="inline-label">${t.auditColumns[name]}
          <input class="input" name=${name} onChange=${choose(name)} /></label>`)}
        <label class="inline-label">${t.auditColumns.outcome}
          <select class="input" name="outcome" onChange=${choose("outcome")}>
            <option value="">${t.all}</option>
            ${OUTCOMES.map((one) => html`<option key=${one} value=${one}>${t.auditOutcomes[one]}</option>`)}
          </select></label>
      </div>
      <${Read} texts=${texts} reading=${reading} draw=${(page) => html`
        <${Entries} key=${JSON.stringify(wanted)} texts=${texts} first=${page} more=${(before) => asked(wanted, before)} />`} />
    </section>
  `;
}

function Entries({ texts, first, more }) {
  const { t } = texts;
  const [older, setOlder] = useState({ entries: [], next: first.next });
  const { busy, error, run } = useDoing();
  const rows = [...first.entries, ...older.entries];
  const show = () => run(async () => {
    const page = await more(older.next);
    setOlder({ entries: [...older.entries, ...page.entries], next: page.next });
  });
  return html`
    ${rows.length === 0
      ? html`<${Empty} title=${t.noAudit} />`
      : html`<div class="table-box" tabindex="0" role="region" aria-label=${t.views.audit}>
        <table class="table stack">
          <thead><tr>${["at", "action", "outcome", "subject", "target", "detail"].map((name) => html`
            <th key=${name} scope="col">${t.auditColumns[name]}</th>`)}</tr></thead>
          <tbody>${rows.map((row) => html`<${Row} key=${`${row.chain}-${row.seq}`} t=${t} row=${row} />`)}</tbody>
        </table></div>`}
    <${ErrorNote} texts=${texts} error=${error} />
    ${older.next && html`<button type="button" class="small" disabled=${busy} onClick=${show}>${t.olderEntries}</button>`}
  `;
}

function Row({ t, row }) {
  const who = [row.subject, row.role && `(${row.role})`, row.credential, row.address].filter(Boolean).join(" ");
  const detail = Object.entries(row.detail).map(([name, value]) => `${name}: ${value}`).join(", ");
  return html`
    <tr data-seq=${row.seq}>
      <td data-label=${t.auditColumns.at}><time datetime=${row.at}>${row.at.replace("T", " ")}</time></td>
      <td data-label=${t.auditColumns.action}><code>${row.action}</code></td>
      <td data-label=${t.auditColumns.outcome}><${Badge} tone=${TONES[row.outcome]}>${t.auditOutcomes[row.outcome]}<//></td>
      <td data-label=${t.auditColumns.subject}>${who}</td>
      <td data-label=${t.auditColumns.target}>${row.target}</td>
      <td data-label=${t.auditColumns.detail}>${detail}</td>
    </tr>
  `;
}
