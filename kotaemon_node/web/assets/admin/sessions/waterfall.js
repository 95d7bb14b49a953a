// The steps of a turn as bars over time; the same as a list for those who cannot see it.
import { html } from "../../html.js";

const WIDTH = 400;
const ROW = 26;
const BAR = 12;
const BAR_WIDTH_MIN = 2;

/** @param {{phases: {phase: string, latency: number}[], totalS: number}} props `latency`: begin (s) */
export function Waterfall({ texts: { t, f, words }, phases, totalS }) {
  if (phases.length === 0) return html`<p class="muted">${t.noSteps}</p>`;
  const end = Math.max(totalS, ...phases.map(({ latency }) => latency), 0.001);
  const rows = phases.map(({ phase, latency }, at) => ({
    name: words.phases[phase] || phase,
    from: latency,
    to: Math.max(latency, phases[at + 1]?.latency ?? end),
  }));
  const x = (seconds) => (seconds / end) * WIDTH;
  return html`
    <ol class="waterfall">
      ${rows.map(({ name, from, to }, at) => html`
        <li key=${at}>
          <span class="waterfall-name">${name}</span>
          <svg viewBox=${`0 0 ${WIDTH} ${ROW}`} preserveAspectRatio="none" aria-hidden="true">
            <line x1="0" y1=${ROW / 2} x2=${WIDTH} y2=${ROW / 2} class="rail" />
            <rect x=${x(from)} y=${(ROW - BAR) / 2} height=${BAR} rx="3"
              width=${Math.max(BAR_WIDTH_MIN, x(to) - x(from))} class="bar-1" />
          </svg>
          <span class="waterfall-time">${f.took(to - from)}</span>
        </li>`)}
    </ol>
    <p class="muted">${t.inAll(f.took(totalS))}</p>
  `;
}
