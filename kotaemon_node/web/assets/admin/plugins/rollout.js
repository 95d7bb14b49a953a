// On what share of the sessions a new version is tried.
import { html, useLayoutEffect, useState } from "../../html.js";

export function Rollout({ texts: { t }, row, busy, onApply }) {
  const [percent, setPercent] = useState(row.rollout_percent);
  useLayoutEffect(() => setPercent(row.rollout_percent), [row.rollout_percent]);
  const changed = percent !== row.rollout_percent;
  const id = `rollout-${row.name}`;
  return html`
    <div class="rollout">
      <label for=${id}>${t.rollout}</label>
      <input id=${id} type="range" min="0" max="100" step="1" value=${percent} aria-describedby=${`${id}-help`}
        aria-valuetext=${`${percent} %`} onInput=${(event) => setPercent(Number(event.currentTarget.value))} />
      <output for=${id}>${percent} %</output>
      <button type="button" class="small" disabled=${!changed || busy} onClick=${() => onApply(percent)}>${t.apply}</button>
      <p id=${`${id}-help`} class="muted">${row.next ? t.rolloutNow(row.rollout_percent) : t.rolloutNone(row.rollout_percent)}
        ${changed && percent === 100 && row.next ? ` ${t.promotes}` : ""}</p>
    </div>
  `;
}
