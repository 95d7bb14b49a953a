// A button that asks once more before it does what cannot be undone.
import { html, useRef, useState } from "../../html.js";

/**
 * @param {{t: object, label: any, ask: string, onConfirm: () => void, name?: string,
 *   danger?: boolean, disabled?: boolean}} props `name` tells a screen reader what it is about
 */
export function Confirm({ t, label, ask, onConfirm, name, danger = true, disabled = false }) {
  const [asking, setAsking] = useState(false);
  const button = useRef(null);
  const close = () => {
    setAsking(false);
    requestAnimationFrame(() => button.current?.focus());
  };
  const escape = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  };
  if (!asking) {
    return html`
      <button type="button" class="small" ref=${button} disabled=${disabled} title=${name}
        aria-label=${name} onClick=${() => setAsking(true)}>${label}</button>
    `;
  }
  return html`
    <span class="confirm" role="group" aria-label=${ask} onKeyDown=${escape}>
      <span class="confirm-ask">${ask}</span>
      <button type="button" class=${`small ${danger ? "danger" : ""}`} ref=${focusNow}
        onClick=${() => { close(); onConfirm(); }}>${t.yes}</button>
      <button type="button" class="small" onClick=${close}>${t.no}</button>
    </span>
  `;
}

const focusNow = (button) => button?.focus();
