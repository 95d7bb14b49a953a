// What stands where there is nothing to show: an error, emptiness, or the wait for something.
import { html } from "../../html.js";
import { Alert } from "../../ui/icons.js";
import { explained } from "../texts.js";

/** Why something did not go, what to do next, and by what the server's log knows it. */
export function ErrorNote({ texts, error, onAgain }) {
  if (!error) return null;
  return html`
    <div class="admin-error" role="alert">
      <${Alert} />
      <div><p>${explained(texts, error)}</p>
        ${error.traceId && html`<p class="trace">${texts.words.trace} <code>${error.traceId}</code></p>`}
        ${onAgain && html`<button type="button" class="small" onClick=${onAgain}>
          ${texts.words.tryAgain}</button>`}
      </div>
    </div>
  `;
}

export const Empty = ({ title, text, children }) => html`
  <div class="admin-empty"><h3>${title}</h3>${text && html`<p>${text}</p>`}${children}</div>
`;

export const Waiting = ({ texts }) => html`
  <div class="admin-waiting" role="status">
    <span class="hidden">${texts.t.loading}</span>
    <i class="skeleton"></i><i class="skeleton"></i><i class="skeleton short"></i>
  </div>
`;

/** What was read, or why it was not: `draw` is called with the value once there is one. */
export function Read({ texts, reading, draw }) {
  return html`
    <${ErrorNote} texts=${texts} error=${reading.error} onAgain=${reading.again} />
    ${reading.value === null
      ? reading.loading && html`<${Waiting} texts=${texts} />`
      : draw(reading.value)}
  `;
}

/** A state as a coloured dot and its word: never as a colour alone. */
export const Badge = ({ tone, children }) => html`
  <span class=${`badge-dot ${tone}`}><i class=${`dot ${tone}`} aria-hidden="true"></i>${children}</span>
`;
