// Questions that were not answered well, above the entries that answer the others.
import {
  acceptDraft, beginAnswer, dismissDraft, drafts, leaveAnswer, refreshDrafts,
} from "../drafts.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { localeOf } from "../i18n.js";
import { useStore } from "../store.js";
import { faqErrorText } from "./faq-form.js";

const QUESTION_CHARS_MAX = 200;
const ANSWER_CHARS_MAX = 2_900;

export function FaqDrafts({ words, kb }) {
  const seen = useStore(drafts);
  useLayoutEffect(() => {
    refreshDrafts(kb);
  }, [kb]);
  if (seen.kb !== kb || seen.rows.length === 0) return null;
  return html`
    <section class="faq-drafts" aria-labelledby="faq-drafts">
      <h3 id="faq-drafts">${words.draftsTitle(seen.total)}</h3>
      <p class="faq-lead">${words.draftsLead}</p>
      <ul>
        ${seen.rows.map((draft) => html`
          <li key=${draft.id} class="faq-draft" data-draft=${draft.id}>
            <${Draft} words=${words} draft=${draft} answering=${seen.answering === draft.id} />
          </li>`)}
      </ul>
    </section>
  `;
}

function Draft({ words, draft, answering }) {
  const [error, setError] = useState(null);
  const dismiss = async () => setError(await dismissDraft(draft));
  return html`
    <h4 class="faq-question" lang=${localeOf(draft.question)}>${draft.question}</h4>
    ${draft.variants.map((variant) => html`
      <p key=${variant} class="faq-variant" lang=${localeOf(variant)}>${variant}</p>`)}
    <p class="faq-draft-facts">${words.draftAsked(draft.asked, draft.down)}
      ${draft.examples.map(({ session_id: sid }, index) => html`
        <a key=${sid} class="link" href=${`/?s=${encodeURIComponent(sid)}`}>
          ${words.draftExample(index + 1)}</a>`)}</p>
    ${error && html`<p class="faq-error" role="alert">${faqErrorText(words, error)}</p>`}
    ${answering
      ? html`<${Answering} words=${words} draft=${draft} />`
      : html`
          ${draft.suggestion && html`
            <p class="faq-draft-by">${words.draftBy[draft.suggested_by]}</p>
            <p class="faq-answer" lang=${localeOf(draft.suggestion)}>${draft.suggestion}</p>`}
          <div class="faq-foot"><span class="gap"></span>
            <button type="button" class="small" aria-label=${`${words.draftAnswer}: ${draft.question}`}
              onClick=${() => beginAnswer(draft)}>${words.draftAnswer}</button>
            <button type="button" class="small" aria-label=${`${words.draftDismiss}: ${draft.question}`}
              onClick=${dismiss}>${words.draftDismiss}</button>
          </div>`}
  `;
}

function Answering({ words, draft }) {
  const form = useRef(null);
  const [state, setState] = useState({ busy: false, error: null });
  useLayoutEffect(() => form.current.elements.answer.focus(), []);
  const accept = async (event) => {
    event.preventDefault();
    if (state.busy) return;
    const { question, answer } = form.current.elements;
    setState({ busy: true, error: null });
    const error = await acceptDraft(draft, {
      question: question.value.trim(), answer: answer.value.trim(),
    });
    // Taken: the form is gone by now.
    if (error !== null) setState({ busy: false, error });
  };
  const pressed = (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.preventDefault();
    leaveAnswer();
  };
  return html`
    <form class="faq-form" ref=${form} onSubmit=${accept} onKeyDown=${pressed}
      aria-label=${draft.question}>
      <div class="faq-row"><label for="draft-question">${words.faqQuestion}</label>
        <input id="draft-question" name="question" class="faq-field" required pattern=".*\\S.*"
          maxlength=${QUESTION_CHARS_MAX} defaultValue=${draft.question} dir="auto" /></div>
      <div class="faq-row"><label for="draft-answer">${words.faqAnswer}</label>
        <textarea id="draft-answer" name="answer" class="faq-field" required rows="4"
          maxlength=${ANSWER_CHARS_MAX} defaultValue=${draft.suggestion} dir="auto"></textarea></div>
      ${state.error && html`
        <p class="faq-error" role="alert">${faqErrorText(words, state.error)}</p>`}
      <div class="faq-buttons">
        <button type="submit" class="primary" aria-disabled=${state.busy}>${words.draftAccept}</button>
        <button type="button" class="small" onClick=${leaveAnswer}>${words.faqCancel}</button>
      </div>
    </form>
  `;
}
