// Taking a conversation over, saying something in it, and giving it back.
import { json, newId } from "../../api.js";
import { html, useRef } from "../../html.js";
import { useDoing } from "../reading.js";
import { ErrorNote } from "../parts/notes.js";

const CHARS_MAX = 32_000;

export function AgentBox({ texts, sid, handoff }) {
  const { t, f } = texts;
  const { busy, error, run } = useDoing();
  const path = `/v1/sessions/${encodeURIComponent(sid)}`;
  if (!handoff) {
    return html`
      <div class="agent-box">
        <${ErrorNote} texts=${texts} error=${error} />
        <p class="muted">${t.botAnswers}</p>
        <button type="button" class="primary" disabled=${busy}
          onClick=${() => run(() => json("POST", `${path}/handoff`, { reason: "" }))}>${t.takeOver}</button>
      </div>
    `;
  }
  return html`
    <div class="agent-box here">
      <${ErrorNote} texts=${texts} error=${error} />
      <p role="status"><b>${t.withPerson}</b> <span class="muted">${[t.handedBy[handoff.by], handoff.reason, f.moment(handoff.since)]
        .filter(Boolean).join(" · ")}</span></p>
      <${Composer} t=${t} busy=${busy}
        onSay=${(body) => run(() => json("POST", `${path}/agent-messages`, body))} />
      <button type="button" class="small" disabled=${busy}
        onClick=${() => run(() => json("POST", `${path}/handback`, {}))}>${t.handBack}</button>
    </div>
  `;
}

/** A message keeps its id until it was taken: sending it again says it once. */
function Composer({ t, busy, onSay }) {
  const field = useRef(null);
  const message = useRef({ id: newId(), text: "" });
  const say = async () => {
    const text = field.current.value.trim();
    if (!text || busy) return;
    if (text !== message.current.text) message.current = { id: newId(), text };
    if (await onSay({ text, message_id: message.current.id })) {
      field.current.value = "";
      message.current = { id: newId(), text: "" };
    }
    field.current.focus();
  };
  const pressed = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  };
  return html`
    <div class="agent-say">
      <textarea class="input" rows="2" maxlength=${CHARS_MAX} ref=${field} aria-label=${t.yourMessage}
        placeholder=${t.yourMessage} onKeyDown=${pressed}></textarea>
      <button type="button" class="primary" disabled=${busy} onClick=${say}>${t.say}</button>
    </div>
  `;
}
