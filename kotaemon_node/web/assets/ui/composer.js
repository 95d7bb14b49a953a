// Where questions are written. Enter sends, Shift+Enter makes a new line.
import { codePointLength } from "../client/codepoints.js";
import { stop } from "../conversation.js";
import { draft } from "../draft.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { isFinished } from "../turn.js";
import { Send, Square } from "./icons.js";
import { Person } from "./person.js";
import { openShortcuts } from "./shortcuts.js";
import { VoiceButton } from "./voice-button.js";

const MESSAGE_CHARS_MAX = 32_000; // the server's limit
const HEIGHT_MAX_PX = 220;

export function Composer({ words, talk, onAsk }) {
  const { text } = useStore(draft);
  const setText = (written) => draft.set({ text: written });
  const field = useRef(null);
  const running = talk.turns.findLast((turn) => !isFinished(turn) && !turn.lost);
  const over = codePointLength(text) - MESSAGE_CHARS_MAX;
  const sendable = text.trim() !== "" && over <= 0 && !running && talk.state !== "loading";
  useTyping(field, talk.sid);
  useLayoutEffect(() => fit(field.current), [text]);
  const send = (event) => {
    event?.preventDefault();
    field.current.focus();
    if (!sendable) return;
    setText("");
    onAsk(text.trim());
  };
  const pressed = (event) => {
    // While an input method composes, Enter chooses a word and must not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    send(event);
  };
  return html`
    <form class="composer" onSubmit=${send}>
      <${Person} words=${words} talk=${talk} />
      <div class="field">
        <textarea id="question" ref=${field} rows="1" value=${text} dir="auto"
          aria-label=${words.composerLabel}
          placeholder=${talk.handoff ? words.placeholderPerson : words.placeholder}
          aria-invalid=${over > 0} enterkeyhint="send" autocomplete="off"
          onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${pressed}></textarea>
        <${VoiceButton} words=${words} disabled=${talk.state === "loading"} onText=${setText} />
        ${running
          ? html`<${StopButton} key=${running.id} turn=${running} words=${words} />`
          : html`<button type="submit" class="send" aria-label=${words.send} title=${words.send}
              disabled=${!sendable}><${Send} /></button>`}
      </div>
      <p class=${`hint ${over > 0 ? "over" : ""}`}>
        ${over > 0 ? words.tooLong(over) : html`${words.hint} <button type="button" class="link"
          onClick=${openShortcuts}>${words.shortcuts}</button>`}</p>
    </form>
  `;
}

function StopButton({ turn, words }) {
  const [asked, setAsked] = useState(false);
  const press = async () => {
    setAsked(true);
    if (!(await stop(turn))) setAsked(false);
  };
  return html`
    <button type="button" class="send stop" aria-label=${words.stop} title=${words.stop}
      disabled=${asked} onClick=${press}><${Square} /></button>
  `;
}

/** The field grows with its text up to a limit. */
function fit(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, HEIGHT_MAX_PX)}px`;
}

/** Put the cursor into the field at the start, and when "/" is typed elsewhere. */
function useTyping(field, sid) {
  useLayoutEffect(() => {
    // On a touch screen the keyboard would cover half of the page unasked.
    if (matchMedia("(pointer: fine)").matches) field.current.focus();
  }, [sid]);
  useLayoutEffect(() => {
    const slash = (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, [contenteditable]")) return;
      event.preventDefault();
      field.current.focus();
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);
}
