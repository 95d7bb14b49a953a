// What tools were asked while an answer was made: a line each, which opens to show what went where.
import { html, memo } from "../html.js";

const SHOWN_CHARS_MAX = 4_000;

export function Tools({ tools, words }) {
  return html`
    <ul class="tools" aria-label=${words.tools}>
      ${tools.map((tool, at) => html`
        <${Tool} key=${tool.step || at} tool=${tool} words=${words} />`)}
    </ul>
  `;
}

const Tool = memo(({ tool, words }) => {
  const { name, state, args, result } = tool;
  const line = html`
    <span class="tool-dot" aria-hidden="true"></span><code>${name}</code>
    <span class="tool-state">${words.toolStates[state] ?? state}</span>`;
  const hasMore = (args !== null && Object.keys(args).length > 0) || hasValue(result);
  return html`
    <li class=${state} data-step=${tool.step}>
      ${hasMore
        ? html`<details><summary>${line}</summary>
            ${args !== null && html`<${Value} title=${words.toolArguments} value=${args} />`}
            ${hasValue(result) && html`<${Value} title=${words.toolResult} value=${result} />`}
          </details>`
        : html`<span class="tool-line">${line}</span>`}
    </li>
  `;
});

const hasValue = (result) => result !== undefined && result !== null;

function Value({ title, value }) {
  const whole = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = whole.length > SHOWN_CHARS_MAX;
  return html`
    <p class="tool-title">${title}</p>
    <pre tabindex="0">${cut ? `${whole.slice(0, SHOWN_CHARS_MAX)}…` : whole}</pre>
  `;
}
