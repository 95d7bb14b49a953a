// The conversation's turns, newest at the bottom, and what stands there when there are none.
import { ask, openFromAddress } from "../conversation.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { errorText } from "../i18n.js";
import { Announcer } from "./announcer.js";
import { beginNew } from "./header.js";
import { Down } from "./icons.js";
import { Turn } from "./turn.js";

const NEAR_END_PX = 80;

export function Thread({ words, language, talk, examples }) {
  const { scroller, content, away, toEnd } = useEndInView(talk.turns.length, talk.sid);
  return html`
    <div class="thread" role="region" aria-label=${words.thread} tabindex="0" ref=${scroller}>
      <div class="thread-content" ref=${content}>
        ${talk.state === "empty" && html`<${Welcome} words=${words} examples=${examples} />`}
        ${talk.state === "loading" && html`<${Loading} words=${words} />`}
        ${talk.state === "missing" && html`
          <${Notice} title=${words.missingTitle} text=${words.missingText}
            action=${words.newConversation} onAction=${beginNew} />`}
        ${talk.state === "failed" && html`
          <${Notice} title=${words.loadFailedTitle} text=${errorText(words, talk.error)}
            action=${words.tryAgain} onAction=${openFromAddress} />`}
        ${talk.turns.map((turn, index) => html`
          <${Turn} key=${turn.id} turn=${turn} words=${words} language=${language}
            newest=${index === talk.turns.length - 1} handedOff=${talk.handoff !== null} />`)}
      </div>
    </div>
    <${Announcer} turn=${talk.turns.at(-1)} sid=${talk.sid} />
    ${away && html`
      <div class="to-end"><button type="button" class="round" aria-label=${words.toEnd}
        title=${words.toEnd} onClick=${toEnd}><${Down} /></button></div>`}
  `;
}

function Welcome({ words, examples }) {
  return html`
    <section class="welcome">
      <img src="/assets/icon.svg" alt="" width="52" height="52" />
      <h2>${words.emptyTitle}</h2>
      <p>${words.emptyText}</p>
      ${examples.length > 0 && html`
        <ul class="examples" aria-label=${words.examplesLabel}>
          ${examples.map(({ topic, question }) => html`
            <li key=${question}><button type="button" onClick=${() => ask(question)}>
              <span class="topic">${topic}</span>${question}
            </button></li>`)}
        </ul>`}
    </section>
  `;
}

function Loading({ words }) {
  return html`
    <div class="skeletons" role="status">
      <span class="hidden">${words.loading}</span>
      <i class="skeleton right"></i><i class="skeleton"></i><i class="skeleton short"></i>
      <i class="skeleton right"></i><i class="skeleton"></i><i class="skeleton"></i>
    </div>
  `;
}

function Notice({ title, text, action, onAction }) {
  return html`
    <section class="notice" role="alert">
      <h2>${title}</h2><p>${text}</p>
      <button type="button" class="primary" onClick=${onAction}>${action}</button>
    </section>
  `;
}

/** Keep the end in view while text arrives, unless the reader scrolled away from it. */
function useEndInView(count, sid) {
  const scroller = useRef(null);
  const content = useRef(null);
  const pinned = useRef(true);
  const empty = useRef(true);
  empty.current = count === 0;
  const [away, setAway] = useState(false);
  const toEnd = () => {
    pinned.current = true;
    scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  useLayoutEffect(() => {
    const box = scroller.current;
    let top = box.scrollTop;
    const scrolled = () => {
      const nearEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PX;
      // Text that arrived since we scrolled puts the end out of view too: only going up lets go.
      if (nearEnd) pinned.current = true;
      else if (box.scrollTop < top) pinned.current = false;
      top = box.scrollTop;
      setAway(!pinned.current && !empty.current);
    };
    const grown = new ResizeObserver(() => {
      if (pinned.current && !empty.current) toEnd();
      else scrolled();
    });
    // What the reader opens stays where it is, and what is behind it moves.
    const opened = (event) => {
      if (event.target.closest?.("summary")) pinned.current = false;
    };
    box.addEventListener("click", opened, true);
    grown.observe(content.current);
    grown.observe(box);
    box.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      grown.disconnect();
      box.removeEventListener("scroll", scrolled);
      box.removeEventListener("click", opened, true);
    };
  }, []);
  useLayoutEffect(() => {
    if (count > 0) toEnd(); // a new question is always brought into view
    else scroller.current.scrollTop = 0;
  }, [count, sid]);
  return { scroller, content, away, toEnd };
}
