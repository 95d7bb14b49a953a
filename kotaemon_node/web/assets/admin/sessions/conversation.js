// One conversation, live, and what an agent may do in it.
import { html, useLayoutEffect, useRef } from "../../html.js";
import { Back } from "../../ui/icons.js";
import { Empty, ErrorNote, Waiting } from "../parts/notes.js";
import { hrefOf } from "../route.js";
import { AgentBox } from "./agent-box.js";
import { TurnRow } from "./turn-row.js";
import { useSession } from "./watching.js";

const NEAR_END_PX = 120;

export function Conversation({ texts, sid }) {
  const { t, f } = texts;
  const seen = useSession(sid);
  const box = useRef(null);
  useEnd(box, seen.turns);
  return html`
    <article class="conversation" aria-label=${t.conversation}>
      <header class="conversation-head">
        <a class="tool back-to-list" href=${hrefOf("sessions")} aria-label=${t.backToList} title=${t.backToList}><${Back} /></a>
        <div><h2>${t.conversation} <code>${sid.slice(0, 10)}</code></h2>
          ${seen.session && html`<p class="muted">
            ${[seen.session.user_id, seen.session.channel, t.begunAt(f.moment(seen.session.created_at))].filter(Boolean).join(" · ")}</p>`}
        </div>
      </header>
      ${seen.state === "loading" && html`<${Waiting} texts=${texts} />`}
      ${seen.state === "missing" && html`<${Empty} title=${t.sessionGone} text=${t.sessionGoneText} />`}
      ${seen.state === "failed" && html`<${ErrorNote} texts=${texts} error=${seen.error} onAgain=${seen.again} />`}
      ${seen.state === "open" && html`
        <div class="conversation-turns" ref=${box} tabindex="0" role="log" aria-label=${t.turns}>
          ${seen.session.summary && html`<details class="summary"><summary>${t.summary}</summary>
            <p>${seen.session.summary}</p></details>`}
          ${seen.left > 0 && html`<p class="muted" role="note">${t.turnsLeftOut(seen.left, f.number(seen.left))}</p>`}
          ${seen.turns.length === 0 && html`<${Empty} title=${t.nothingSaid} />`}
          ${seen.turns.map((turn) => html`<${TurnRow} key=${turn.id} texts=${texts} sid=${sid} turn=${turn} />`)}
        </div>
        <${AgentBox} texts=${texts} sid=${sid} handoff=${seen.session.handoff} />`}
    </article>
  `;
}

/** Keep the newest in view, unless somebody reads further up. */
function useEnd(box, turns) {
  const pinned = useRef(true);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const scrolled = () => {
      pinned.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
    };
    element.addEventListener("scroll", scrolled, { passive: true });
    if (pinned.current) element.scrollTop = element.scrollHeight;
    return () => element.removeEventListener("scroll", scrolled);
  }, [turns]);
}
