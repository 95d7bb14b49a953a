// What became of the orders of this visit.
import { html } from "../../html.js";
import { Close } from "../../ui/icons.js";
import { Badge } from "../parts/notes.js";
import { dropOrder } from "./orders.js";

const TONES = { done: "ready", failed: "down" };

export function Orders({ texts: { t }, seen }) {
  if (seen.length === 0) return null;
  return html`
    <ul class="orders" aria-label=${t.orders} aria-live="polite">
      ${seen.map((one) => html`
        <li key=${one.id} class="order" data-state=${one.state}>
          <${Badge} tone=${TONES[one.state] ?? "degraded"}>
            ${t.orderKinds[one.kind](one.about)} · ${t.orderStates[one.state]}${
              one.generation ? ` · ${t.generationNumber(one.generation)}` : ""}<//>
          ${one.reason && html`<p class="reason">${one.reason}</p>`}
          <button type="button" class="tool" aria-label=${t.dismiss} title=${t.dismiss}
            onClick=${() => dropOrder(one.id)}><${Close} /></button>
        </li>`)}
    </ul>
  `;
}
