// The list of earlier conversations: a column on a wide page, a drawer on a narrow one.
import { conversation, forget, show } from "../conversation.js";
import { runsCluster } from "../access.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { ago } from "../i18n.js";
import { toChat } from "../place.js";
import { allSessions, moreSessions, refreshSessions, removeSession, sessions } from "../sessions.js";
import { closeSource } from "../sources.js";
import { useStore } from "../store.js";
import { THEMES, chooseTheme, theme } from "../theme.js";
import { closeSide } from "../view.js";
import { beginNew } from "./header.js";
import { Bin, Close, Find, Gauge, Moon, Pen, Screen, Sun } from "./icons.js";
import { openShortcuts } from "./shortcuts.js";

export function SidePanel({ words, language, drawer, caller }) {
  const { rows, state, more } = useStore(sessions);
  const [wanted, setWanted] = useState("");
  const found = wanted === "" ? rows : rows.filter((row) => hasWords(row.title, wanted));
  const { sid } = useStore(conversation);
  const top = useRef(null);
  useLayoutEffect(() => {
    if (!drawer) return undefined;
    const before = document.activeElement;
    top.current.focus();
    return () => {
      // A frame later: until then the page behind the drawer is still inert and takes no focus.
      requestAnimationFrame(() => before?.isConnected && before.focus());
    };
  }, [drawer]);
  const leave = (act) => {
    if (drawer) closeSide();
    closeSource();
    act();
  };
  return html`
    <nav class=${`side ${drawer ? "drawer" : ""}`} aria-label=${words.conversations}>
      <div class="side-top">
        <button type="button" class="new" ref=${top} onClick=${() => leave(beginNew)}>
          <${Pen} />${words.newConversation}
        </button>
        ${drawer && html`
          <button type="button" class="tool" aria-label=${words.close} onClick=${closeSide}>
            <${Close} />
          </button>`}
      </div>
      <h2 class="side-title">${words.conversations}</h2>
      ${state === "failed" && html`
        <p class="side-note">${words.conversationsFailed} <button type="button" class="link"
          onClick=${refreshSessions}>${words.tryAgain}</button></p>`}
      ${rows.length > 1 && html`
        <div class="side-search"><${Find} />
          <input id="session-search" type="search" value=${wanted} autocomplete="off"
            aria-label=${words.findConversation} placeholder=${words.findConversation}
            onFocus=${allSessions} onInput=${(event) => setWanted(event.currentTarget.value)} />
        </div>`}
      ${state === "idle" && rows.length === 0 && html`
        <p class="side-note">${words.noConversations}</p>`}
      ${wanted !== "" && found.length === 0 && state === "idle" && html`
        <p class="side-note" role="status">${words.noneFound}</p>`}
      <ul class="rows">
        ${found.map((row) => html`
          <${Row} key=${row.id} row=${row} words=${words} language=${language}
            current=${row.id === sid} onOpen=${() => leave(() => (row.id === sid ? toChat() : show(row.id)))} />`)}
      </ul>
      ${more && wanted === "" && html`
        <button type="button" class="link" onClick=${moreSessions}>${words.more}</button>`}
      <div class="side-foot">
        <${Themes} words=${words} />
        <span class="gap"></span>
        ${runsCluster(caller) && html`
          <a class="tool phone-only" href="/admin" aria-label=${words.admin} title=${words.admin}>
            <${Gauge} /></a>`}
        <button type="button" class="tool" aria-label=${words.shortcuts} title=${words.shortcuts}
          onClick=${openShortcuts}><kbd>?</kbd></button>
      </div>
    </nav>
  `;
}

const ICONS = { system: Screen, light: Sun, dark: Moon };

function Themes({ words }) {
  const { name: chosen } = useStore(theme);
  return html`
    <div class="themes" role="group" aria-label=${words.theme}>
      ${THEMES.map((name) => html`
        <button type="button" class="tool" key=${name} aria-pressed=${name === chosen}
          aria-label=${words.themes[name]} title=${words.themes[name]}
          onClick=${() => chooseTheme(name)}><${ICONS[name]} /></button>`)}
    </div>
  `;
}

/** Whether a title has all the words, in any order. */
function hasWords(title, wanted) {
  const low = title.toLowerCase();
  return wanted.toLowerCase().split(/\s+/).every((word) => low.includes(word));
}

function Row({ row, words, language, current, onOpen }) {
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    setAsking(false);
    if (await removeSession(row.id)) forget(row.id);
  };
  const title = row.title || words.untitled;
  if (asking) {
    return html`
      <li class="row asking">
        <span class="row-title">${words.removeAsk}</span>
        <button type="button" class="small danger" ref=${focusNow} onClick=${remove}>
          ${words.yes}</button>
        <button type="button" class="small" onClick=${() => setAsking(false)}>${words.no}</button>
      </li>
    `;
  }
  return html`
    <li class=${`row ${current ? "current" : ""}`}>
      <button type="button" class="row-open" aria-current=${current ? "page" : undefined}
        title=${title} onClick=${onOpen}>
        <span class="row-title">${title}</span>
        <span class="row-time">${ago(language, row.activeMs, Date.now())}</span>
      </button>
      <button type="button" class="row-remove" aria-label=${`${words.remove}: ${title}`}
        title=${words.remove} onClick=${() => setAsking(true)}><${Bin} /></button>
    </li>
  `;
}

const focusNow = (button) => button?.focus();
