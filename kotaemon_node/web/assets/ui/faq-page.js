// The page of an FAQ: its entries, looked through, added, changed and removed.
import {
  beginEntry, editEntry, faq, lookFor, moreFaq, openBase, refreshFaq, removeEntry,
} from "../faq.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { ago, localeOf } from "../i18n.js";
import { useStore } from "../store.js";
import { FaqDrafts } from "./faq-drafts.js";
import { FaqForm, faqErrorText } from "./faq-form.js";
import { Again, Alert, Bin, Page, Pen } from "./icons.js";

const TYPING_MS = 250;
const ID_PATTERN = "[A-Za-z0-9_.\\-]{1,128}";

export function FaqPage({ words, language }) {
  const seen = useStore(faq);
  const add = useRef(null);
  const top = useRef(null);
  useLayoutEffect(() => {
    refreshFaq();
    top.current.focus({ preventScroll: true });
  }, []);
  useReturn(seen.editing, add);
  const adding = seen.editing !== null && seen.editing.id === null;
  return html`
    <div class="faq" id="faq-page">
      <div class="faq-column">
        <h2 class="faq-title" tabindex="-1" ref=${top}>${words.faqTitle}</h2>
        <p class="faq-lead">${words.faqLead}</p>
        <div class="faq-bar">
          <${Search} words=${words} wanted=${seen.wanted} />
          <${Base} words=${words} kb=${seen.kb} />
          <button type="button" class="primary faq-add" ref=${add} disabled=${adding}
            onClick=${beginEntry}><${Pen} />${words.faqAdd}</button>
        </div>
        ${adding && html`<${FaqForm} key="new" words=${words} entry=${seen.editing} />`}
        <${FaqDrafts} words=${words} kb=${seen.kb} />
        <${Told} words=${words} seen=${seen} />
        <ul class="faq-entries" aria-label=${words.faqTitle} aria-busy=${seen.state === "loading"}>
          ${seen.entries.map((entry) => html`
            <li key=${entry.id} class="faq-entry" data-id=${entry.id}>
              ${seen.editing !== null && seen.editing.id === entry.id
                ? html`<${FaqForm} words=${words} entry=${seen.editing} />`
                : html`<${Entry} words=${words} language=${language} entry=${entry}
                    change=${seen.changes[entry.id]} />`}
            </li>`)}
        </ul>
        ${seen.next !== null && html`
          <button type="button" class="link faq-more" onClick=${moreFaq}>${words.more}</button>`}
        ${!seen.complete && html`<p class="faq-note">${words.faqIncomplete}</p>`}
      </div>
    </div>
  `;
}

function Search({ words, wanted }) {
  const timer = useRef(0);
  const typed = (event) => {
    const { value } = event.currentTarget;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => lookFor(value.trim()), TYPING_MS);
  };
  useLayoutEffect(() => () => clearTimeout(timer.current), []);
  return html`
    <input id="faq-search" class="faq-field faq-search" type="search" value=${wanted}
      aria-label=${words.faqSearch} placeholder=${words.faqSearch} autocomplete="off"
      maxlength="200" onInput=${typed} />
  `;
}

function Base({ words, kb }) {
  const chosen = (event) => {
    const field = event.currentTarget;
    const name = field.value.trim() || "default";
    if (!field.checkValidity() || name === kb) return;
    openBase(name);
  };
  return html`
    <label class="faq-base">${words.knowledge}
      <input class="faq-field" value=${kb} pattern=${ID_PATTERN} autocapitalize="off"
        spellcheck="false" autocomplete="off" onChange=${chosen} />
    </label>
  `;
}

function Told({ words, seen }) {
  if (seen.state === "failed") {
    return html`
      <p class="faq-note failed" role="alert"><${Alert} />${faqErrorText(words, seen.error)}
        <button type="button" class="link" onClick=${() => refreshFaq()}>${words.tryAgain}</button></p>
    `;
  }
  let text = seen.entries.length > 0 ? words.faqCount(seen.total) : "";
  if (text === "" && seen.state === "idle") text = seen.wanted ? words.faqNoneFound : words.faqNone;
  return html`<p class="faq-note" role="status">${text}</p>`;
}

function Entry({ words, language, entry, change }) {
  const [asking, setAsking] = useState(false);
  const label = entry.question || entry.document;
  const remove = () => {
    setAsking(false);
    removeEntry(entry);
  };
  const busy = change !== undefined && ["saving", "waiting"].includes(change.state);
  return html`
    <h3 class="faq-question" lang=${localeOf(label)}>${label}</h3>
    ${entry.variants.map((variant) => html`
      <p key=${variant} class="faq-variant" lang=${localeOf(variant)}>${variant}</p>`)}
    ${entry.answer && html`<p class="faq-answer" lang=${localeOf(entry.answer)}>${entry.answer}</p>`}
    ${entry.reason && html`<p class="faq-reason">${entry.reason}</p>`}
    <div class="faq-foot">
      ${entry.tags.map((tag) => html`<span key=${tag} class="faq-tag">${tag}</span>`)}
      <${State} words=${words} language=${language} entry=${entry} change=${change} />
      <span class="gap"></span>
      ${entry.managed
        ? asking
          ? html`
              <span class="faq-ask">${words.removeAsk}</span>
              <button type="button" class="small danger" ref=${focusNow} onClick=${remove}>
                ${words.yes}</button>
              <button type="button" class="small" onClick=${() => setAsking(false)}>
                ${words.no}</button>`
          : html`
              <button type="button" class="small" disabled=${busy} aria-label=${`${words.faqEdit}: ${label}`}
                onClick=${() => editEntry(entry)}><${Pen} />${words.faqEdit}</button>
              <button type="button" class="small" disabled=${busy} title=${words.faqRemove}
                aria-label=${`${words.faqRemove}: ${label}`}
                onClick=${() => setAsking(true)}><${Bin} /></button>`
        : html`<a class="link faq-document" href=${entry.url} target="_blank" rel="noopener">
            <${Page} />${words.faqInTable(entry.document)}</a>`}
    </div>
  `;
}

function State({ words, language, entry, change }) {
  const state = change?.state ?? entry.state;
  if (state === "failed") {
    const text = change?.error ? faqErrorText(words, change.error) : words.faqFailed;
    return html`<span class="faq-state failed" role="alert"><${Alert} />${text}</span>`;
  }
  if (change?.state === "live") {
    const text = words.faqLive(change.generation);
    return html`<span class="faq-state live" role="status"><span class="dot ready"></span>${text}</span>`;
  }
  if (["saving", "waiting", "queued", "changing", "removing"].includes(state)) {
    const going = state === "removing" ? words.faqRemoving : words.faqComing;
    return html`<span class="faq-state" role="status"><${Again} />${going}</span>`;
  }
  const thenMs = Date.parse(entry.changed_at);
  return html`<span class="faq-state">${Number.isNaN(thenMs) ? "" : ago(language, thenMs, Date.now())}</span>`;
}

/** When the form closes, the focus goes where it was opened. */
function useReturn(editing, add) {
  const before = useRef(null);
  useLayoutEffect(() => {
    const was = before.current;
    before.current = editing;
    if (was === null || editing !== null) return;
    const entry = was.id === null ? null : document.querySelector(`[data-id="${CSS.escape(was.id)}"]`);
    (entry?.querySelector("button") ?? add.current)?.focus();
  }, [editing]);
}

const focusNow = (button) => button?.focus();
