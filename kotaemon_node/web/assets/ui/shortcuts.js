// The keys that do something, and a list of them.
import { html, useLayoutEffect, useRef } from "../html.js";
import { refreshSessions } from "../sessions.js";
import { Store, useStore } from "../store.js";
import { view } from "../view.js";
import { beginNew } from "./header.js";
import { Close } from "./icons.js";

const listed = new Store({ open: false });

export const openShortcuts = () => listed.set({ open: true });

// By place on the keyboard: with Alt some systems write another letter.
const WITH_ALT = {
  KeyN: () => beginNew(),
  KeyK: () => toConversations(),
};

const KEYS = [
  ["send", ["Enter"]],
  ["newLine", ["Shift", "Enter"]],
  ["toField", ["/"]],
  ["stop", ["Esc"]],
  ["fresh", ["Alt", "N"]],
  ["list", ["Alt", "K"]],
  ["help", ["?"]],
];

export function Shortcuts({ words }) {
  const { open } = useStore(listed);
  const box = useRef(null);
  useKeys();
  useLayoutEffect(() => {
    if (open) box.current.showModal();
  }, [open]);
  if (!open) return null;
  const close = () => listed.set({ open: false });
  return html`
    <dialog class="shortcuts" ref=${box} aria-labelledby="shortcuts-title" onClose=${close}
      onClick=${(event) => event.target === box.current && box.current.close()}>
      <div class="shortcuts-box">
        <div class="shortcuts-head">
          <h2 id="shortcuts-title">${words.shortcuts}</h2>
          <button type="button" class="tool" aria-label=${words.close} title=${words.close}
            onClick=${() => box.current.close()}><${Close} /></button>
        </div>
        <dl>${KEYS.map(([name, keys]) => html`
          <div key=${name}><dt>${words.keys[name]}</dt>
            <dd>${keys.map((key) => html`<kbd>${key}</kbd>`)}</dd></div>`)}</dl>
      </div>
    </dialog>
  `;
}

function useKeys() {
  useLayoutEffect(() => {
    const pressed = (event) => {
      if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey) return;
      const writing = event.target.closest?.("input, textarea, [contenteditable]");
      const act = event.altKey ? WITH_ALT[event.code] : event.key === "?" && !writing && openShortcuts;
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

async function toConversations() {
  let reached;
  view.set({ side: true });
  const read = refreshSessions();
  // Once the panel is drawn; its field may be there only when the list has come.
  requestAnimationFrame(() => (reached = toSearch()));
  await read;
  requestAnimationFrame(() => document.activeElement === reached && toSearch()); // else they went on
}

/** @returns {Element} what has the focus now */
function toSearch() {
  document.getElementById("session-search")?.focus();
  return document.activeElement;
}
