// What is done later, and what could not be done: somebody decides.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { Again } from "../../ui/icons.js";
import { Confirm } from "../parts/confirm.js";
import { Badge, Empty, ErrorNote, Read } from "../parts/notes.js";
import { useDoing, useNow, useReading } from "../reading.js";

const LOOK_MS = 3_000;
const LIMIT = 200;
const TONES = { waiting: "", running: "degraded", dead: "down" };

export function QueueView({ texts }) {
  const { t } = texts;
  const dead = useReading(() => json("GET", `/v1/dead-letters?limit=${LIMIT}`), [], { everyMs: LOOK_MS });
  const later = useReading(() => json("GET", `/v1/jobs?queue=later&limit=${LIMIT}`), [], { everyMs: LOOK_MS });
  const { busy, error, run } = useDoing();
  const act = (send) => run(send).then(() => {
    dead.again();
    later.again();
  });
  return html`
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title" class="view-title">${t.views.queue}</h1>
      <p class="muted">${t.queueLead}</p>
      <${ErrorNote} texts=${texts} error=${error} />
      <h2 class="section-title">${t.deadTitle}</h2>
      <${Read} texts=${texts} reading=${dead} draw=${({ dead_letters: rows }) => rows.length === 0
        ? html`<${Empty} title=${t.noDead} />`
        : html`<${Jobs} texts=${texts} label=${t.deadTitle} rows=${rows} busy=${busy} onAct=${act} />`} />
      <h2 class="section-title">${t.laterTitle}</h2>
      <${Read} texts=${texts} reading=${later} draw=${({ jobs }) => jobs.length === 0
        ? html`<${Empty} title=${t.noLater} />`
        : html`<${Jobs} texts=${texts} label=${t.laterTitle} rows=${jobs} />`} />
    </section>
  `;
}

function Jobs({ texts, label, rows, busy, onAct }) {
  const now = useNow();
  return html`
    <ul class="cards" aria-label=${label}>
      ${rows.map((row) => html`<${JobCard} key=${row.job} texts=${texts} row=${row} now=${now} busy=${busy} onAct=${onAct} />`)}
    </ul>
  `;
}

function JobCard({ texts: { t, f }, row, now, busy, onAct }) {
  const path = `/v1/dead-letters/${encodeURIComponent(row.job)}`;
  const kind = t.laterKinds[row.kind] ?? row.kind;
  return html`
    <li class="card job" data-job=${row.job} data-state=${row.state}>
      <div class="card-head"><h3>${kind}</h3>
        <${Badge} tone=${TONES[row.state]}>${t.laterStates[row.state]}<//>
        <span class="muted">${t.attemptsOf(row.attempts, row.attempts_max)}</span></div>
      ${row.error && html`<p class=${row.state === "dead" ? "reason" : "muted"}>${row.error}</p>`}
      <p>${Object.entries(row.about).map(([name, value]) => html`
        <span key=${name} class="chip">${t.aboutNames[name] ?? name} <code>${value}</code></span>`)}</p>
      <p class="muted">${t.madeAgo(f.ago(row.created_at, now))} · ${row.state === "dead"
        ? t.diedAgo(f.ago(row.due_at, now)) : t.dueIn(f.ago(row.due_at, now))}</p>
      ${onAct && html`<div class="buttons">
        <button type="button" class="small" disabled=${busy} onClick=${() => onAct(() => json("POST", `${path}/retry`, {}))}>
          <${Again} />${t.retry}</button>
        <${Confirm} t=${t} label=${t.remove} name=${`${t.remove}: ${kind}`} ask=${t.askDrop} disabled=${busy}
          onConfirm=${() => onAct(() => json("DELETE", path))} /></div>`}
    </li>
  `;
}
