// The bar on top: menu, name, cluster, language, new conversation.
import { keepsKnowledge, keyed, logOut, runsCluster, seesCluster } from "../access.js";
import { show } from "../conversation.js";
import { html } from "../html.js";
import { place } from "../place.js";
import { refreshSessions } from "../sessions.js";
import { closeSource } from "../sources.js";
import { useStore } from "../store.js";
import { switchLanguage, toggleSide, view } from "../view.js";
import { ClusterStatus } from "./cluster-status.js";
import { Back, Book, Gauge, Globe, Leave, Menu, Pen } from "./icons.js";

export function Header({ words, talk, caller, sideHasIt }) {
  const { side } = useStore(view);
  const { name } = useStore(place);
  return html`
    <header class="header">
      <button type="button" class="tool" aria-label=${words.menu} title=${words.menu}
        aria-expanded=${side} onClick=${openSide}><${Menu} /></button>
      <h1 class="brand"><img src="/assets/icon.svg" alt="" width="24" height="24" />kotaemon</h1>
      <span class="gap"></span>
      ${seesCluster(caller) && html`<${ClusterStatus} words=${words} talk=${talk} />`}
      ${keepsKnowledge(caller) && name === "chat" && html`
        <a class="tool with-text" href="#faq" aria-label=${words.faqTitle} title=${words.faqTitle}>
          <${Book} /><span class="wide-only">${words.faqTitle}</span></a>`}
      ${runsCluster(caller) && html`
        <a class="tool with-text not-phone" href="/admin" aria-label=${words.admin}
          title=${words.admin}><${Gauge} /><span class="wide-only">${words.admin}</span></a>`}
      ${name === "faq" && html`
        <a class="tool with-text" href="#" aria-label=${words.faqBack} title=${words.faqBack}>
          <${Back} /><span class="wide-only">${words.faqBack}</span></a>`}
      <button type="button" class="tool with-text" aria-label=${words.switchLanguageLabel}
        lang=${words.switchLanguage === "English" ? "en" : "zh-CN"}
        onClick=${switchLanguage}><${Globe} /><span>${words.switchLanguage}</span></button>
      ${keyed(caller) && html`
        <button type="button" class="tool with-text" aria-label=${words.logOut}
          title=${words.logOut} onClick=${logOut}>
          <${Leave} /><span class="wide-only">${words.logOut}</span>
        </button>`}
      ${!sideHasIt && html`
        <button type="button" class="tool with-text" aria-label=${words.newConversation}
          title=${words.newConversation} onClick=${beginNew}>
          <${Pen} /><span class="wide-only">${words.newConversation}</span>
        </button>`}
    </header>
  `;
}

function openSide() {
  toggleSide();
  if (view.value.side) refreshSessions();
}

export function beginNew() {
  closeSource();
  show(null);
  document.getElementById("question")?.focus();
}
