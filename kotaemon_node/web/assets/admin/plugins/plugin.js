// One plugin: on or off, its versions, its share of the sessions, its configuration, its pods.
import { json } from "../../api.js";
import { html, useLayoutEffect, useState } from "../../html.js";
import { Again } from "../../ui/icons.js";
import { Confirm } from "../parts/confirm.js";
import { Badge, ErrorNote } from "../parts/notes.js";
import { useDoing } from "../reading.js";
import { goSilently } from "../route.js";
import { ConfigForm } from "./config-form.js";
import { Rollout } from "./rollout.js";

export function Plugin({ texts, row, open, onChanged }) {
  const { t, f } = texts;
  const { busy, error, run } = useDoing();
  // Until the list says the same, the switch shows what was wished.
  const [wished, setWished] = useState(null);
  useLayoutEffect(() => setWished(null), [row.enabled]);
  const switched = async (event) => {
    const enabled = event.currentTarget.checked;
    setWished(enabled);
    if (!await change({ enabled })) setWished(null);
  };
  const path = `/v1/plugins/${encodeURIComponent(row.name)}`;
  const act = (send) => run(send).then((went) => {
    onChanged();
    return went;
  });
  const change = (wish) => act(() => json("PUT", path, wish));
  const toggled = (event) => goSilently("plugins", ...(event.currentTarget.open ? [row.name] : []));
  return html`
    <li class="card plugin" data-plugin=${row.name} data-converged=${row.converged}>
      <div class="card-head">
        <h2>${row.name}</h2>
        <${Badge} tone=${toneOf(row)}>${stateOf(t, row)}<//>
        ${row.breaker === "open" && html`<${Badge} tone="down">${t.breakerOpen}<//>`}
        <span class="gap"></span>
        <label class="switch"><input type="checkbox" role="switch" checked=${wished ?? row.enabled}
          onChange=${switched} /><span>${t.enabled}</span></label>
      </div>
      ${row.breaker === "open" && html`<p class="muted">${t.breakerOpenText}</p>`}
      ${row.problem && html`<p class="reason">${row.problem}</p>`}
      <${ErrorNote} texts=${texts} error=${error} />
      <dl class="pairs wide">
        <dt>${t.stable}</dt><dd><${Release} t=${t} release=${row.stable} /></dd>
        ${row.next && html`<dt>${t.nextVersion}</dt><dd><${Release} t=${t} release=${row.next} /></dd>`}
        <dt>${t.onPods}</dt><dd>${row.pods.map((pod) => html`
          <span key=${pod.pod} class=${`chip ${pod.problem ? "bad" : ""}`}>${pod.pod} <code>${short(pod.version)}</code>
            ${pod.next && html` → <code>${short(pod.next)}</code>`}</span>`)}</dd>
        ${row.changed_at > 0 && html`<dt>${t.changed}</dt><dd>${f.ago(row.changed_at)} · ${row.changed_by || "–"}</dd>`}
      </dl>
      ${row.pods.filter(({ problem }) => problem).map(({ pod, problem }) => html`
        <p key=${pod} class="reason">${pod}: ${problem}</p>`)}
      <${Rollout} texts=${texts} row=${row} busy=${busy} onApply=${(percent) => change({ rollout_percent: percent })} />
      <details class="config" open=${open} onToggle=${toggled}>
        <summary>${t.configuration}</summary>
        <${ConfigForm} key=${(row.next ?? row.stable)?.version ?? ""} texts=${texts} row=${row} busy=${busy}
          onSave=${(config) => change({ config })} />
      </details>
      <div class="buttons">
        <button type="button" class="small" disabled=${busy} onClick=${() => act(() => json("POST", `${path}/reload`, {}))}>
          <${Again} />${t.reload}</button>
        <${Confirm} t=${t} label=${t.removePlugin} name=${`${t.removePlugin}: ${row.name}`} disabled=${busy}
          ask=${row.origin === "folder" ? t.askRemoveFolder : t.askRemove}
          onConfirm=${() => act(() => json("DELETE", path))} />
      </div>
    </li>
  `;
}

const short = (version) => (version ? version.slice(0, 7) : "–");

const Release = ({ t, release }) => (release === null
  ? html`<span class="muted">${t.noneYet}</span>`
  : html`<code>${release.version}</code> <span class="muted">${t.bundleOf(release.bundle.slice(0, 7), release.signed_by)}</span>`);

function toneOf(row) {
  if (!row.enabled) return "";
  if (row.problem || row.pods.some(({ problem }) => problem)) return "down";
  return row.converged ? "ready" : "degraded";
}

function stateOf(t, row) {
  if (!row.enabled) return t.switchedOff;
  if (row.problem || row.pods.some(({ problem }) => problem)) return t.hasProblem;
  return row.converged ? t.onAllPods : t.onItsWay;
}
