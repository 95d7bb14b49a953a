// One pod: its state, its running turns as cells, and what it serves.
import { html } from "../../html.js";
import { Badge } from "../parts/notes.js";

const CELLS_MAX = 48;
const TONES = { ready: "ready", behind: "degraded", leaving: "degraded", unready: "down", gone: "down" };

export function Pod({ texts: { t, f }, pod, now, most }) {
  const gone = pod.state === "gone";
  const nowS = now / 1000;
  return html`
    <li class=${`pod-card ${pod.state}`} data-pod=${pod.name} data-state=${pod.state}>
      <div class="pod-head">
        <h2>${pod.name}</h2>
        <${Badge} tone=${TONES[pod.state]}>${t.podStates[pod.state]}${gone ? ` · ${f.ago(pod.goneAt / 1000, now)}` : ""}<//>
      </div>
      ${pod.reasons.length > 0 && !gone && html`<p class="pod-why">${pod.reasons.join("; ")}</p>`}
      <${Turns} t=${t} f=${f} running=${pod.running} most=${most} gone=${gone} />
      <dl class="pairs">
        <dt>${t.serves}</dt>
        <dd>${pod.generations.length === 0 ? t.nothing : pod.generations.map(({ kb, generation }) => html`
          <span key=${kb} class="chip">${kb} <b>${generation}</b></span>`)}</dd>
        ${pod.plugins.length > 0 && html`
          <dt>${t.views.plugins}</dt>
          <dd>${pod.plugins.map((plugin) => html`
            <span key=${plugin.name} class=${`chip ${plugin.problem ? "bad" : ""}`} title=${plugin.problem}>
              ${plugin.name} <code>${short(plugin.version)}</code>${plugin.next && html` → <code>${short(plugin.next)}</code>`}</span>`)}</dd>`}
        <dt>${t.takenOver}</dt><dd>${f.number(pod.takenOver)}</dd>
        ${!gone && html`<dt>${t.upFor}</dt><dd>${f.lasting(nowS - pod.startedAt)}</dd>`}
        <dt>${t.address}</dt><dd><code>${pod.address}</code></dd>
        <dt>${t.version}</dt><dd><code>${pod.version}</code></dd>
        ${pod.settings && html`<dt>${t.settingsVersion}</dt><dd><code>${pod.settings}</code></dd>`}
      </dl>
    </li>
  `;
}

const short = (version) => (version === null ? "–" : version.slice(0, 7));

/** A cell for each turn that runs, so that moved ones are seen; a number for those who cannot. */
function Turns({ t, f, running, most, gone }) {
  const shown = Math.min(running, CELLS_MAX);
  const room = Math.min(Math.max(shown, Math.min(most, CELLS_MAX)), CELLS_MAX);
  const label = gone ? t.hadTurns(running, f.number(running)) : t.runs(running, f.number(running));
  return html`
    <p class="turns-label">${label}</p>
    <div class="turn-cells" aria-hidden="true">
      ${Array.from({ length: room }, (_, at) => html`<i key=${at} class=${at < shown ? "on" : ""}></i>`)}
      ${running > CELLS_MAX && html`<span>+${f.number(running - CELLS_MAX)}</span>`}
    </div>
  `;
}
