// Buttons for what an answer asks: yes or no to a proposal, one of the values that it names.
import { ask } from "../conversation.js";
import { html } from "../html.js";
import { localeOf } from "../i18n.js";
import { Check, Close } from "./icons.js";

// In the language of the question, whatever that of the page is: the server reads both.
const SAID = { en: { yes: "yes", no: "no" }, "zh-CN": { yes: "是的", no: "不用了" } };

export function Reply({ turn, words }) {
  const { kind, choices } = turn.asks;
  if (kind === "choice") {
    return html`
      <div class="reply" role="group" aria-label=${words.replyLabel}>
        ${choices.map((choice) => html`
          <button type="button" class="small" key=${choice} onClick=${() => ask(choice)}>
            ${choice}</button>`)}
      </div>
    `;
  }
  const said = SAID[localeOf(turn.text)];
  return html`
    <div class="reply" role="group" aria-label=${words.replyLabel}>
      <button type="button" class="small go" onClick=${() => ask(said.yes)}>
        <${Check} />${words.replyYes}</button>
      <button type="button" class="small" onClick=${() => ask(said.no)}>
        <${Close} />${words.replyNo}</button>
    </div>
  `;
}
