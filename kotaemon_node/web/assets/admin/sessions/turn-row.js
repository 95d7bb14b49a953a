// A turn of a conversation that somebody else has: what was said, and how it came about.
import { sourcePage } from "../../api.js";
import { html, memo, useState } from "../../html.js";
import { localeOf } from "../../i18n.js";
import { citedNumbers } from "../../markdown.js";
import { isFinished } from "../../turn.js";
import { Answer } from "../../ui/answer.js";
import { Badge } from "../parts/notes.js";
import { Trace } from "./trace.js";

const TONES = { done: "ready", failed: "down", cancelled: "degraded", interrupted: "degraded" };

export const TurnRow = memo(({ texts, sid, turn }) => {
  const { t, words, f } = texts;
  const [open, setOpen] = useState(false);
  const cited = turn.sources.filter((doc) => citedNumbers(turn.text).includes(doc.n));
  if (!turn.message && turn.event && !turn.text) return html`<${Happened} words=${words} turn=${turn} />`;
  // A mark opens the source as a page of its own: there is no panel beside this list.
  const opened = (event) => {
    const mark = event.target.closest("button[data-n]");
    if (!mark) return;
    event.stopPropagation();
    const doc = turn.sources.find(({ n }) => n === Number(mark.dataset.n));
    if (doc) window.open(sourcePage(doc), "_blank", "noopener");
  };
  const traced = isFinished(turn) && turn.traceId && !turn.author && !turn.handoff;
  return html`
    <section class=${`said-turn ${turn.author ? "by-person" : ""}`} data-turn=${turn.id} data-state=${turn.state}>
      ${turn.message && html`<div class="question" lang=${localeOf(turn.message)}>
        <h3 class="hidden">${t.theyAsked}</h3><p dir="auto">${turn.message}</p></div>`}
      ${turn.handoff && !turn.text && html`<p class="muted">${t.forPerson}</p>`}
      ${(turn.text || !isFinished(turn)) && !turn.handoff && html`
        <div class="answer" onClickCapture=${opened}>
          ${turn.author && html`<p class="said-by">${turn.name || words.person}</p>`}
          <${Answer} turn=${turn} words=${words} running=${!isFinished(turn)} />
          ${!isFinished(turn) && html`<p class="muted" role="status">${words.phases[turn.phase] ?? turn.phase}</p>`}
        </div>`}
      ${turn.error && html`<p class="reason">${turn.error.message}</p>`}
      ${!turn.author && !turn.handoff && html`
        <p class="turn-facts muted">
          <${Badge} tone=${TONES[turn.state] ?? "degraded"}>${t.turnStates[turn.state]}<//>
          ${turn.seconds !== null && html`<span>${f.took(turn.seconds)}</span>`}
          ${turn.servedBy.length > 0 && html`<span>${turn.servedBy.join(" → ")}</span>`}
          ${cited.map((doc) => html`<a key=${doc.n} class="link" href=${sourcePage(doc)} target="_blank"
            rel="noopener">[${doc.n}] ${doc.title || doc.document}</a>`)}
          ${traced && html`<button type="button" class="link" aria-expanded=${open}
            onClick=${() => setOpen(!open)}>${t.trace}</button>`}
        </p>`}
      ${open && html`<${Trace} texts=${texts} traceId=${turn.traceId} sid=${sid} turnId=${turn.id} />`}
      ${turn.event && html`<${Happened} words=${words} turn=${turn} />`}
    </section>
  `;
});

const Happened = ({ words, turn }) => html`
  <p class="happened" data-event=${turn.event}><span>${words.happened[turn.event]}</span></p>
`;
