// The page's frame: header, side panel, conversation, source panel, and the Escape key.
import { access, hasExamples } from "../access.js";
import { ask, conversation, openFromAddress, stop } from "../conversation.js";
import { html, useLayoutEffect, useMedia } from "../html.js";
import { wordsOf } from "../i18n.js";
import { place } from "../place.js";
import { refreshSessions } from "../sessions.js";
import { closeSource, panel } from "../sources.js";
import { useStore } from "../store.js";
import { isFinished } from "../turn.js";
import { PHONE, WIDE, closeSide, view } from "../view.js";
import { Composer } from "./composer.js";
import { FaqPlace } from "./faq-place.js";
import { Header } from "./header.js";
import { Login } from "./login.js";
import { Shortcuts } from "./shortcuts.js";
import { SidePanel } from "./side-panel.js";
import { SourcePanel } from "./source-panel.js";
import { Thread } from "./thread.js";

export function App() {
  const { language, side, online } = useStore(view);
  const { open: sourceOpen } = useStore(panel);
  const { name } = useStore(place);
  const talk = useStore(conversation);
  const caller = useStore(access);
  const phone = useMedia(PHONE);
  const wide = useMedia(WIDE);
  const words = wordsOf(language);
  const drawer = side && !wide;
  useEscape(drawer);
  if (caller.asked) return html`<${Login} words=${words} onEntered=${entered} />`;
  return html`
    <a class="skip" href=${name === "faq" ? "#faq-search" : "#question"}>
      ${name === "faq" ? words.faqSkip : words.skip}</a>
    <div class=${`frame ${side ? "with-side" : ""} ${sourceOpen ? "with-source" : ""}`}>
      ${side && html`<${SidePanel} words=${words} language=${language} drawer=${drawer}
        caller=${caller} />`}
      ${drawer && html`<div class="shade" onClick=${closeSide}></div>`}
      <div class="middle" inert=${drawer || (phone && sourceOpen)}>
        <${Header} words=${words} talk=${talk} caller=${caller} sideHasIt=${side && wide} />
        ${!online && html`<p class="offline" role="status">${words.offline}</p>`}
        <main class="main">
          ${name === "faq"
            ? html`<${FaqPlace} words=${words} language=${language} />`
            : html`
                <${Thread} words=${words} language=${language} talk=${talk}
                  examples=${hasExamples(caller) ? words.examples : []} />
                <${Composer} words=${words} talk=${talk} onAsk=${ask} />`}
        </main>
      </div>
      ${sourceOpen && phone && html`<div class="shade above" onClick=${closeSource}></div>`}
      ${sourceOpen && html`<${SourcePanel} words=${words} modal=${phone} />`}
    </div>
    <${Shortcuts} words=${words} />
  `;
}

/** What the address names and the lists can be read now. */
function entered() {
  openFromAddress();
  if (view.value.side) refreshSessions();
}

/** Escape closes what was opened last: the drawer lies above the source panel. Else it stops. */
function useEscape(drawer) {
  useLayoutEffect(() => {
    const close = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
      if (drawer) closeSide();
      else if (panel.value.open) closeSource();
      else if (!document.querySelector("dialog[open]")) stopRunning();
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [drawer]);
}

function stopRunning() {
  const running = conversation.value.turns.findLast((turn) => !isFinished(turn) && !turn.lost);
  if (running) stop(running);
}
