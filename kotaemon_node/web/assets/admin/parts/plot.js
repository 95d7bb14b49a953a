// A small plot over days: bars or lines, with its numbers as a table for those who cannot see it.
import { html, useMedia } from "../../html.js";
import { PHONE } from "../../view.js";

const WIDTH = 560;
const WIDTH_PHONE = 340; // drawn as wide as it is shown, or its words would be too small to read
const HEIGHT = 190;
const LEFT = 62;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;
const TICKS = 4;
const LABELS_MAX = 7;
const LABELS_MAX_PHONE = 4;
const BAR_SHARE = 0.62;

/**
 * @typedef {{name: string, values: (number | null)[]}} Series
 * @param {{title: string, days: string[], series: Series[], kind: "bars" | "lines",
 *   show: (value: number) => string, texts: object}} props `days` as shown; bars stand on each other
 */
export function Plot({ title, days, series, kind, show, texts: { t } }) {
  const width = useMedia(PHONE) ? WIDTH_PHONE : WIDTH;
  const tops = days.map((_, at) => {
    const values = series.map((one) => one.values[at] ?? 0);
    return kind === "bars" ? values.reduce((a, b) => a + b, 0) : Math.max(...values);
  });
  const end = niceEnd(Math.max(0, ...tops));
  const x = (at) => LEFT + ((at + 0.5) * (width - LEFT - RIGHT)) / days.length;
  const y = (value) => TOP + (1 - value / end) * (HEIGHT - TOP - BOTTOM);
  const every = Math.ceil(days.length / (width === WIDTH ? LABELS_MAX : LABELS_MAX_PHONE));
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) => (end * at) / TICKS);
  return html`
    <figure class="plot">
      <figcaption>${title}</figcaption>
      ${series.length > 1 && html`<ul class="legend" aria-hidden="true">${series.map(({ name }, at) => html`
        <li key=${name}><i class=${`swatch fill-${at + 1}`}></i>${name}</li>`)}</ul>`}
      <svg viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${title}>
        ${ticks.map((tick) => html`<g key=${tick}>
          <line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(tick)} y2=${y(tick)} />
          <text class="tick" x=${LEFT - 6} y=${y(tick) + 4} text-anchor="end">${show(tick)}</text></g>`)}
        ${days.map((day, at) => at % every === 0 && html`
          <text key=${day} class="tick" x=${x(at)} y=${HEIGHT - 6} text-anchor="middle">${day}</text>`)}
        ${kind === "bars"
          ? html`<${Bars} days=${days} series=${series} width=${((width - LEFT - RIGHT) / days.length) * BAR_SHARE} x=${x} y=${y} show=${show} />`
          : html`<${Lines} series=${series} days=${days} x=${x} y=${y} show=${show} />`}
      </svg>
      <details><summary>${t.asTable}</summary>
        <div class="table-box" tabindex="0" role="region" aria-label=${title}><table class="table">
          <thead><tr><th scope="col">${t.day}</th>${series.map(({ name }) => html`<th key=${name} scope="col" class="num">${name}</th>`)}</tr></thead>
          <tbody>${days.map((day, at) => html`<tr key=${day}><th scope="row">${day}</th>
            ${series.map(({ name, values }) => html`<td key=${name} class="num">${values[at] === null ? "–" : show(values[at])}</td>`)}</tr>`)}</tbody>
        </table></div></details>
    </figure>
  `;
}

function Bars({ days, series, width, x, y, show }) {
  return days.map((day, at) => {
    let below = 0;
    return series.map(({ name, values }, order) => {
      const value = values[at] ?? 0;
      const rect = html`<rect key=${`${day} ${name}`} class=${`fill-${order + 1}`} x=${x(at) - width / 2} width=${width}
        y=${y(below + value)} height=${Math.max(0, y(below) - y(below + value))}><title>${`${day} · ${name}: ${show(value)}`}</title></rect>`;
      below += value;
      return rect;
    });
  });
}

function Lines({ series, days, x, y, show }) {
  return series.map(({ name, values }, order) => {
    const points = values.map((value, at) => (value === null ? null : { at, value })).filter(Boolean);
    return html`
      <polyline key=${name} class=${`line-${order + 1}`} points=${points.map(({ at, value }) => `${x(at)},${y(value)}`).join(" ")} />
      ${points.map(({ at, value }) => html`<circle key=${at} class=${`fill-${order + 1}`} cx=${x(at)} cy=${y(value)} r="3">
        <title>${`${days[at]} · ${name}: ${show(value)}`}</title></circle>`)}
    `;
  });
}

/** The end of the scale: 1, 2, 4 or 5 times a power of ten, so that quarters of it are short. */
function niceEnd(top) {
  if (top <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 4, 5, 10].map((times) => times * power).find((end) => end >= top * 0.999);
}
