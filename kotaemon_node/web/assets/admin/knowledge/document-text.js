// A document with its text as it was read.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { localeOf } from "../../i18n.js";
import { Back } from "../../ui/icons.js";
import { Read } from "../parts/notes.js";
import { useReading } from "../reading.js";
import { hrefOf } from "../route.js";

const SHOWN_CHARS_MAX = 200_000;
const JUDGED_BY = 500;

export function DocumentText({ texts, kb, name }) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  const reading = useReading(
    () => json("GET", `/v1/knowledge/${encodeURIComponent(kb)}/documents/${path}`), [kb, name]);
  return html`
    <p><a class="tool with-text" href=${hrefOf("knowledge", kb, "documents")}><${Back} />${texts.t.documents}</a></p>
    <${Read} texts=${texts} reading=${reading} draw=${(told) => html`<${Told} texts=${texts} told=${told} />`} />
  `;
}

function Told({ texts: { t, f }, told }) {
  const text = told.text ?? "";
  return html`
    <h2 class="section-title">${told.title || told.document}</h2>
    <dl class="pairs wide">
      <dt>${t.document}</dt><dd>${told.document}</dd>
      <dt>${t.status}</dt><dd>${t.documentStates[told.status]}${told.reason && html`<p class="reason">${told.reason}</p>`}</dd>
      <dt>${t.revision}</dt><dd><code>${told.revision.slice(0, 12)}</code></dd>
      <dt>${t.size}</dt><dd>${f.bytes(told.file_bytes)} · ${t.characters(f.number(told.text_chars))} · ${t.passagesCount(told.passages.length, f.number(told.passages.length))}</dd>
      <dt>${t.indexedAt}</dt><dd>${f.moment(told.indexed_at)}</dd>
    </dl>
    ${text && html`
      <pre class="document-text" tabindex="0" aria-label=${t.text}
        lang=${localeOf(text.slice(0, JUDGED_BY))}>${text.slice(0, SHOWN_CHARS_MAX)}</pre>`}
    ${text.length > SHOWN_CHARS_MAX && html`<p class="muted">${t.textCut(f.number(SHOWN_CHARS_MAX))}</p>`}
  `;
}
