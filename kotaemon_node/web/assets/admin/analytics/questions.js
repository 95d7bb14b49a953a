// Questions by how often they were asked; one that was not answered can become an FAQ entry.
import { editEntry } from "../../faq.js";
import { html } from "../../html.js";
import { localeOf } from "../../i18n.js";
import { Pen } from "../../ui/icons.js";
import { go } from "../route.js";

const SHOWN = 10;

export function Questions({ texts: { t, f }, title, rows, none, canAnswer = false }) {
  const most = Math.max(1, ...rows.map(({ turns }) => turns));
  return html`
    <section>
      <h2 class="section-title">${title}</h2>
      ${rows.length === 0 && html`<p class="muted">${none}</p>`}
      <ol class="questions" aria-label=${title}>
        ${rows.slice(0, SHOWN).map(({ question, turns }) => html`
          <li key=${question}>
            <span class="question-text" lang=${localeOf(question)}>${question}</span>
            <meter min="0" max=${most} value=${turns} aria-hidden="true"></meter>
            <span class="question-count">${t.times(turns, f.number(turns))}</span>
            ${canAnswer && html`<button type="button" class="small" aria-label=${`${t.answerIt}: ${question}`}
              title=${t.answerIt} onClick=${() => answer(question)}><${Pen} />${t.answerIt}</button>`}
          </li>`)}
      </ol>
    </section>
  `;
}

/** The FAQ's form, with the question in it. */
function answer(question) {
  editEntry({ id: null, question, answer: "", tags: [], variants: [] });
  go("faq");
}
