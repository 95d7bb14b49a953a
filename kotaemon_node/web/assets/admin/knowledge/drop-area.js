// Where files are dropped or chosen, and how far each of them has come.
import { html, useRef, useState } from "../../html.js";
import { useStore } from "../../store.js";
import { Badge } from "../parts/notes.js";
import { dropEnded, ended, upload, uploading } from "./uploading.js";

const TONES = { done: "ready", failed: "down" };

export function DropArea({ texts, kb }) {
  const { t } = texts;
  const [over, setOver] = useState(false);
  const field = useRef(null);
  const { uploads } = useStore(uploading);
  const mine = uploads.filter((one) => one.kb === kb);
  const dropped = (event) => {
    event.preventDefault();
    setOver(false);
    const files = filesOf(event.dataTransfer);
    if (files.length > 0) upload(kb, files);
  };
  const dragged = (event) => {
    event.preventDefault();
    setOver(true);
  };
  const chosen = (event) => {
    upload(kb, event.currentTarget.files);
    event.currentTarget.value = ""; // the same file may be chosen again
  };
  return html`
    <div class=${`drop ${over ? "over" : ""}`} onDragOver=${dragged} onDragEnter=${dragged}
      onDragLeave=${() => setOver(false)} onDrop=${dropped}>
      <p class="drop-text">${t.dropHere(kb)}</p>
      <button type="button" class="primary" onClick=${() => field.current.click()}>${t.chooseFiles}</button>
      <input class="hidden" type="file" multiple tabindex="-1" ref=${field} aria-label=${t.chooseFiles}
        onChange=${chosen} />
      <p class="muted">${t.uploadHelp}</p>
    </div>
    ${mine.length > 0 && html`
      <ul class="uploads" aria-label=${t.uploads}>
        ${mine.map((one) => html`<${Upload} key=${one.id} texts=${texts} one=${one} />`)}
      </ul>
      ${mine.some(ended) && html`
        <button type="button" class="link" onClick=${dropEnded}>${t.clearEnded}</button>`}`}
  `;
}

/** A folder is no file: browsers give one without a type and without bytes. */
function filesOf(transfer) {
  const items = Array.from(transfer.items ?? []).filter(({ kind }) => kind === "file");
  if (items.length === 0) return Array.from(transfer.files);
  return items
    .filter((item) => !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile())
    .filter(Boolean);
}

function Upload({ texts: { t, f }, one }) {
  return html`
    <li class="upload" data-state=${one.state} data-name=${one.file.name}>
      <div class="upload-head">
        <span class="upload-name">${one.file.name}</span>
        <span class="muted">${f.bytes(one.file.size)}</span>
        <span class="gap"></span>
        <span role="status"><${Badge} tone=${TONES[one.state] ?? "degraded"}>${stateText(t, f, one)}<//></span>
      </div>
      ${!ended(one) && html`
        <progress max="1" value=${one.state === "queued" || one.state === "running" ? undefined : one.sent}
          aria-label=${one.file.name}></progress>`}
      ${one.reason && html`<p class="reason">${one.reason}</p>`}
    </li>
  `;
}

function stateText(t, f, { state, sent, generation }) {
  if (state === "sending") return t.uploadStates.sending(f.share(sent));
  if (state === "done") return t.uploadStates.done(generation);
  return t.uploadStates[state];
}
