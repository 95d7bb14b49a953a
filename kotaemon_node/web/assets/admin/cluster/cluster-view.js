// The cluster, live: its pods and their turns, whether they agree, and what just happened.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { useStore } from "../../store.js";
import { ErrorNote, Waiting } from "../parts/notes.js";
import { useNow, useReading } from "../reading.js";
import { Pod } from "./pod.js";
import { seen, take } from "./watch.js";

const EVERY_MS = 1_000;

export function ClusterView({ texts }) {
  const { t, f } = texts;
  const { pods, told, happened } = useStore(seen);
  const { error, again } = useReading(async () => {
    take(await json("GET", "/v1/cluster"));
    return true;
  }, [], { everyMs: EVERY_MS });
  const now = useNow();
  const living = pods.filter(({ state }) => state !== "gone");
  const most = Math.max(8, ...pods.map(({ running }) => running));
  return html`
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title" class="view-title">${t.views.cluster}</h1>
      <${ErrorNote} texts=${texts} error=${error} onAgain=${again} />
      ${told === null && !error && html`<${Waiting} texts=${texts} />`}
      ${told !== null && html`
        <${Agreement} texts=${texts} told=${told} now=${now} />
        <dl class="tiles">
          <${Tile} name=${t.podsReady} value=${t.of(f.number(living.filter(({ state }) => state === "ready").length), f.number(living.length))} />
          <${Tile} name=${t.turnsRunning} value=${f.number(sum(living, "running"))} />
          <${Tile} name=${t.turnsTakenOver} value=${f.number(sum(living, "takenOver"))} help=${t.sinceStart} />
        </dl>
        <ul class="pods-grid" aria-label=${t.pods}>
          ${pods.map((pod) => html`
            <${Pod} key=${pod.name} texts=${texts} pod=${pod} now=${now} most=${most} />`)}
        </ul>
        <${Happened} texts=${texts} happened=${happened} />`}
    </section>
  `;
}

const sum = (pods, field) => pods.reduce((total, pod) => total + pod[field], 0);

const Tile = ({ name, value, help }) => html`
  <div class="tile"><dt>${name}</dt><dd>${value}</dd>${help && html`<dd class="tile-help">${help}</dd>`}</div>
`;

function Agreement({ texts: { t, f }, told, now }) {
  const since = told.since === null ? "" : f.lasting(now / 1000 - told.since);
  const behind = told.knowledge.filter(({ converged }) => !converged);
  const plugins = (told.plugins ?? []).filter(({ converged }) => !converged);
  return html`
    <div class=${`agreement ${told.converged ? "well" : "troubled"}`} role="status">
      <span class=${`dot ${told.converged ? "ready" : "degraded"}`} aria-hidden="true"></span>
      <div>
        <p class="agreement-head">${told.converged ? t.converged(since) : t.diverged(since)}</p>
        ${behind.map((row) => html`
          <p key=${row.kb}>${t.behindRow(row.kb, row.generation, row.behind.join(", "))}</p>`)}
        ${plugins.map(({ plugin }) => html`<p key=${plugin}>${t.pluginDiffers(plugin)}</p>`)}
      </div>
    </div>
  `;
}

function Happened({ texts: { t, f }, happened }) {
  return html`
    <h2 class="section-title">${t.happenedTitle}</h2>
    <ol class="happenings" role="log" aria-label=${t.happenedTitle}>
      ${happened.length === 0 && html`<li class="muted">${t.nothingHappened}</li>`}
      ${happened.map((one) => html`
        <li key=${`${one.at} ${one.what} ${one.pod}`} class=${one.what}>
          <time>${f.clock(one.at / 1000)}</time>
          <span>${t.happenings[one.what](one.pod, one.count ?? 0, one.generation ?? 0)}</span></li>`)}
    </ol>
  `;
}
