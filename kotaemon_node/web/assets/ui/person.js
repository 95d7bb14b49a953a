// Who answers: that a person has the conversation, or how to get one.
import { backToBot, callPerson } from "../handoff.js";
import { html, useState } from "../html.js";
import { errorText } from "../i18n.js";

export function Person({ words, talk }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  if (talk.state !== "open" || talk.turns.length === 0) return null;
  const press = (how) => async () => {
    setBusy(true);
    setError(await how());
    setBusy(false);
  };
  return html`
    <div class=${`person ${talk.handoff ? "here" : ""}`}>
      ${talk.handoff
        ? html`<p role="status">${words.personHere(nameOf(talk))}</p>
            <button type="button" class="small" disabled=${busy} onClick=${press(backToBot)}>
              ${words.backToBot}</button>`
        : html`<button type="button" class="small" disabled=${busy} onClick=${press(callPerson)}>
              ${words.callPerson}</button>`}
      ${error && html`<p class="person-error" role="alert">${errorText(words, error)}</p>`}
    </div>
  `;
}

/** Who spoke last since the conversation was handed over; "" before they said anything. */
function nameOf({ turns }) {
  const since = turns.findLastIndex((turn) => turn.event !== "");
  return turns.slice(Math.max(0, since)).findLast((turn) => turn.author !== "")?.name ?? "";
}
