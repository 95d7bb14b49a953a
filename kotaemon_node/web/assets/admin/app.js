// The admin page's frame: who we are, where we can go, and the view that is open.
import { access, keyed, logOut } from "../access.js";
import { html, useLayoutEffect, useRef } from "../html.js";
import { useStore } from "../store.js";
import { Login } from "../ui/login.js";
import { switchLanguage, view as page } from "../view.js";
import { Globe, Leave, Pen } from "../ui/icons.js";
import { goSilently, hrefOf, route } from "./route.js";
import { textsOf } from "./texts.js";
import { viewsOf } from "./views.js";
import { ViewIcon } from "./parts/view-icons.js";

export function AdminApp() {
  const { language, online } = useStore(page);
  const { view, place } = useStore(route);
  const caller = useStore(access);
  const main = useRef(null);
  const texts = textsOf(language);
  const { t, words } = texts;
  const views = viewsOf(caller);
  const open = views.find(({ name }) => name === view);
  const title = open ? t.views[open.name] : t.title;
  useLayoutEffect(() => {
    document.title = `${title} · kotaemon`;
  }, [title]);
  useLayoutEffect(() => {
    // The first view of this role, also behind an address that is none of its own.
    if (!open && views.length > 0) goSilently(views[0].name);
  }, [open, views.length]);
  if (caller.asked) return html`<${Login} words=${words} onEntered=${() => {}} />`;
  const toMain = (event) => {
    event.preventDefault(); // the address says where we are
    main.current.focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${toMain}>${t.skip}</a>
    <div class="admin">
      <${Top} texts=${texts} caller=${caller} />
      <${Nav} t=${t} views=${views} current=${view} />
      <main class="admin-main" id="main" tabindex="-1" ref=${main}>
        ${!online && html`<p class="offline" role="status">${words.offline}</p>`}
        ${caller.role === "customer" && html`<p class="admin-note">${t.noViews}</p>`}
        ${open && html`<${open.draw} key=${open.name} texts=${texts} place=${place} role=${caller.role} />`}
      </main>
    </div>
  `;
}

function Top({ texts: { t, words }, caller }) {
  return html`
    <header class="admin-top">
      <a class="brand" href="/admin"><img src="/assets/icon.svg" alt="" width="24" height="24" />
        kotaemon<span class="admin-mark">${t.title}</span></a>
      <span class="gap"></span>
      <a class="tool with-text" href="/" aria-label=${t.toChat} title=${t.toChat}>
        <${Pen} /><span class="wide-only">${t.toChat}</span></a>
      <button type="button" class="tool with-text" aria-label=${words.switchLanguageLabel}
        lang=${words.switchLanguage === "English" ? "en" : "zh-CN"}
        onClick=${switchLanguage}><${Globe} /><span>${words.switchLanguage}</span></button>
      ${keyed(caller) && html`
        <button type="button" class="tool with-text" aria-label=${words.logOut}
          title=${words.logOut} onClick=${logOut}><${Leave} /></button>`}
    </header>
  `;
}

function Nav({ t, views, current }) {
  const nav = useRef(null);
  useLayoutEffect(() => {
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [current, views.length]);
  return html`
    <nav class="admin-nav" aria-label=${t.nav} ref=${nav}>
      <ul>
        ${views.map(({ name }) => html`
          <li key=${name}><a href=${hrefOf(name)} aria-current=${name === current ? "page" : undefined}>
            <${ViewIcon} name=${name} />${t.views[name]}</a></li>`)}
      </ul>
    </nav>
  `;
}
