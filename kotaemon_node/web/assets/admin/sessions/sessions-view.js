// The conversations of all: those that wait for a person first, and the one that is open.
import { json } from "../../api.js";
import { html, useState } from "../../html.js";
import { Empty, Read } from "../parts/notes.js";
import { useNow, useReading } from "../reading.js";
import { hrefOf } from "../route.js";
import { Conversation } from "./conversation.js";

const LOOK_MS = 3_000;
const PAGE = 30;
const PAGE_MAX = 200; // so many rows the server gives at once; older ones are a page of their own

export function SessionsView({ texts, place }) {
  const { t } = texts;
  const [sid] = place;
  const [{ offset, shown }, setPart] = useState({ offset: 0, shown: PAGE });
  const waiting = useReading(() => json("GET", "/v1/handoffs"), [], { everyMs: LOOK_MS });
  const all = useReading(() => json("GET", `/v1/sessions?all=true&offset=${offset}&limit=${shown}`),
    [offset, shown], { everyMs: LOOK_MS });
  const older = (next) => setPart(shown < PAGE_MAX
    ? { offset, shown: Math.min(PAGE_MAX, shown + PAGE) } : { offset: next, shown: PAGE_MAX });
  return html`
    <section class=${`view sessions ${sid ? "with-one" : ""}`} aria-labelledby="view-title">
      <h1 id="view-title" class="view-title">${t.views.sessions}</h1>
      <div class="sessions-split">
        <div class="sessions-list">
          <h2 class="section-title">${t.waitingTitle}</h2>
          <${Read} texts=${texts} reading=${waiting} draw=${({ sessions }) => html`
            <${Waiting} texts=${texts} rows=${sessions} known=${all.value?.sessions ?? []} current=${sid} />`} />
          <h2 class="section-title">${t.allSessions}</h2>
          ${offset > 0 && html`
            <button type="button" class="link" onClick=${() => setPart({ offset: 0, shown: PAGE })}>
              ${t.newestSessions}</button>`}
          <${Read} texts=${texts} reading=${all} draw=${({ sessions, next_offset: next }) => html`
            <${All} texts=${texts} rows=${sessions} current=${sid} />
            ${next !== null && html`
              <button type="button" class="link" onClick=${() => older(next)}>
                ${shown < PAGE_MAX ? texts.words.more : t.olderSessions}</button>`}`} />
        </div>
        <div class="sessions-one">
          ${sid
            ? html`<${Conversation} key=${sid} texts=${texts} sid=${sid} />`
            : html`<${Empty} title=${t.noneOpen} text=${t.noneOpenText} />`}
        </div>
      </div>
    </section>
  `;
}

function Waiting({ texts: { t, f }, rows, known, current }) {
  const now = useNow();
  if (rows.length === 0) return html`<p class="muted">${t.nobodyWaits}</p>`;
  const titles = new Map(known.map((row) => [row.session_id, row.title]));
  return html`
    <ul class="session-rows waiting" aria-label=${t.waitingTitle}>
      ${rows.map(({ session_id: id, handoff, spoken_at: spoken }) => html`
        <li key=${id}><a href=${hrefOf("sessions", id)} aria-current=${id === current ? "true" : undefined}>
          <b>${titles.get(id) || handoff.reason || id.slice(0, 10)}</b>
          <span class="muted">${t.handedBy[handoff.by]} · ${f.ago(spoken, now)}</span></a></li>`)}
    </ul>
  `;
}

function All({ texts: { t, f, words }, rows, current }) {
  const now = useNow();
  if (rows.length === 0) return html`<p class="muted">${t.noSessions}</p>`;
  return html`
    <ul class="session-rows" aria-label=${t.allSessions}>
      ${rows.map((row) => html`
        <li key=${row.session_id}><a href=${hrefOf("sessions", row.session_id)}
          aria-current=${row.session_id === current ? "true" : undefined}>
          <b>${row.title || words.untitled}</b>
          <span class="muted">${t.turnCount(row.version, f.number(row.version))} · ${f.ago(row.active_at, now)}</span></a></li>`)}
    </ul>
  `;
}
