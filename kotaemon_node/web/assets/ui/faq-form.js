// Where an entry of an FAQ is written. Ctrl or Cmd with Enter saves, Escape leaves.
import { leaveForm, saveEntry } from "../faq.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { errorText } from "../i18n.js";

// The server's limits.
const QUESTION_CHARS_MAX = 200;
const ANSWER_CHARS_MAX = 2_900;
const TAGS_CHARS_MAX = 200;
const VARIANTS_MAX = 20;

export function FaqForm({ words, entry }) {
  const form = useRef(null);
  const [state, setState] = useState({ busy: false, error: null });
  useLayoutEffect(() => {
    form.current.elements.question.focus();
    form.current.scrollIntoView({ block: "nearest" });
  }, []);
  const save = async (event) => {
    event.preventDefault();
    if (state.busy) return;
    const { question, answer, tags, variants } = form.current.elements;
    setState({ busy: true, error: null });
    const error = await saveEntry({
      id: entry.id,
      question: question.value.trim(),
      answer: answer.value.trim(),
      tags: parts(tags.value, /[,，]/),
      variants: parts(variants.value, /\n/).slice(0, VARIANTS_MAX),
    });
    // Taken: the form is gone by now.
    if (error !== null) setState({ busy: false, error });
  };
  const pressed = (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") {
      event.preventDefault();
      leaveForm();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.current.requestSubmit();
    }
  };
  return html`
    <form class="faq-form" ref=${form} onSubmit=${save} onKeyDown=${pressed}
      aria-label=${entry.id === null ? words.faqAdd : words.faqEdit}>
      <${Field} name="question" label=${words.faqQuestion}>
        <input id="faq-question" name="question" class="faq-field" required pattern=".*\\S.*"
          maxlength=${QUESTION_CHARS_MAX} defaultValue=${entry.question} autocomplete="off" dir="auto" />
      <//>
      <${Field} name="answer" label=${words.faqAnswer}>
        <textarea id="faq-answer" name="answer" class="faq-field" required rows="5"
          maxlength=${ANSWER_CHARS_MAX} defaultValue=${entry.answer} dir="auto"></textarea>
      <//>
      <${Field} name="variants" label=${words.faqVariants} help=${words.faqVariantsHelp}>
        <textarea id="faq-variants" name="variants" class="faq-field" rows="2"
          aria-describedby="faq-variants-help" dir="auto"
          defaultValue=${entry.variants.join("\n")}></textarea>
      <//>
      <${Field} name="tags" label=${words.faqTags} help=${words.faqTagsHelp}>
        <input id="faq-tags" name="tags" class="faq-field" maxlength=${TAGS_CHARS_MAX}
          aria-describedby="faq-tags-help" defaultValue=${entry.tags.join(", ")}
          autocomplete="off" dir="auto" />
      <//>
      ${state.error && html`<p class="faq-error" role="alert">${faqErrorText(words, state.error)}</p>`}
      <div class="faq-buttons">
        <button type="submit" class="primary" aria-disabled=${state.busy}>${words.faqSave}</button>
        <button type="button" class="small" onClick=${leaveForm}>${words.faqCancel}</button>
        <span class="faq-hint">${words.faqHint}</span>
      </div>
    </form>
  `;
}

function Field({ name, label, help, children }) {
  return html`
    <div class="faq-row">
      <label for=${`faq-${name}`}>${label}</label>
      ${children}
      ${help && html`<p id=${`faq-${name}-help`} class="faq-help">${help}</p>`}
    </div>
  `;
}

/** What the server says of an entry is more than our words for its code. */
export function faqErrorText(words, error) {
  const told = ["invalid", "too_large", "conflict", "order_failed", "malformed"];
  return told.includes(error.code) && error.message ? error.message : errorText(words, error);
}

const parts = (text, between) =>
  [...new Set(text.split(between).map((part) => part.trim()).filter((part) => part !== ""))];
