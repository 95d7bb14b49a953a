// What a knowledge base serves now, and what the gate or a rollback keeps out of it.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { Confirm } from "../parts/confirm.js";
import { Empty } from "../parts/notes.js";
import { order } from "./orders.js";

export function BaseFacts({ texts, kb, base }) {
  const { t, f } = texts;
  if (base === null) return html`<${Empty} title=${t.emptyBase(kb)} text=${t.emptyBaseText} />`;
  return html`
    <dl class="tiles">
      <div class="tile"><dt>${t.generation}</dt><dd>${f.number(base.generation)}</dd>
        <dd class="tile-help">${f.moment(base.created_at)}</dd></div>
      <div class="tile"><dt>${t.documents}</dt><dd>${f.number(base.documents)}</dd>
        <dd class="tile-help">${t.failedCount(base.failed)}</dd></div>
      <div class="tile"><dt>${t.passages}</dt><dd>${f.number(base.passages)}</dd></div>
      <div class="tile"><dt>${t.recall}</dt><dd>${f.share(base.recall)}</dd>
        <dd class="tile-help">${base.recall === null ? t.noProbes : t.onProbes}</dd></div>
    </dl>
    ${base.rolled_back_to !== null && html`
      <div class="admin-note"><p>${t.rolledBack(base.rolled_back_to)}
        ${base.refused.length > 0 && t.refusedFiles(base.refused.join(", "))}</p>
        <${Confirm} t=${t} label=${t.followFolder} ask=${t.askFollow} danger=${false}
          onConfirm=${() => publish(kb, false)} /></div>`}
    ${base.held && html`<${Held} texts=${texts} kb=${kb} held=${base.held} />`}
  `;
}

function Held({ texts: { t, f }, kb, held }) {
  return html`
    <section class="admin-note troubled held" aria-label=${t.held}>
      <h2 class="section-title">${t.held}</h2>
      <p>${held.reason}</p>
      <p class="muted">${t.recallFell(f.share(held.recall_before), f.share(held.recall))} · ${f.moment(held.at)}</p>
      ${held.lost.length > 0 && html`
        <ul class="bullets">${held.lost.map((row) => html`
          <li key=${row.question}>${row.question} <span class="muted">(${row.documents.join(", ")}:
            ${f.share(row.before)} → ${f.share(row.now)})</span></li>`)}</ul>`}
      <div class="buttons">
        <button type="button" class="small" onClick=${() => publish(kb, false)}>${t.publishAgain}</button>
        <${Confirm} t=${t} label=${t.publishForce} ask=${t.askForce} onConfirm=${() => publish(kb, true)} />
      </div>
    </section>
  `;
}

const publish = (kb, force) =>
  order(force ? "force" : "publish", kb, (job) =>
    json("POST", `/v1/knowledge/${encodeURIComponent(kb)}/publish`, { force, job }));
