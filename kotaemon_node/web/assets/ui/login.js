// What a closed cluster shows first: a field for the key, and a way to each issuer.
import { addressOfLogin, failedLogin, issuersOffered, logIn } from "../access.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { errorText } from "../i18n.js";
import { switchLanguage } from "../view.js";
import { Globe } from "./icons.js";

export function Login({ words, onEntered }) {
  const field = useRef(null);
  const [state, setState] = useState({ busy: false, error: null });
  const [issuers, setIssuers] = useState([]);
  useLayoutEffect(() => field.current.focus(), []);
  useLayoutEffect(() => {
    issuersOffered().then(setIssuers);
  }, []);
  const enter = async (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    if (key === "" || state.busy) return;
    setState({ busy: true, error: null });
    const error = await logIn(key);
    if (error === null) {
      onEntered();
      return;
    }
    setState({ busy: false, error });
    field.current.select();
    field.current.focus();
  };
  const failed = failedLogin();
  const told = state.error ? errorText(words, state.error) : failed && words.loginFailed[failed];
  return html`
    <main class="login">
      <form class="login-box" onSubmit=${enter}>
        <h1 class="brand"><img src="/assets/icon.svg" alt="" width="24" height="24" />kotaemon</h1>
        ${issuers.map(({ name, label }) => html`
          <a class="login-enter login-issuer" href=${addressOfLogin(name)} key=${name}>
            ${words.enterWith(label)}</a>`)}
        ${issuers.length > 0 && html`<p class="login-or">${words.orKey}</p>`}
        <label class="login-label" for="key">${words.keyLabel}</label>
        <input id="key" class="login-field" type="password" autocomplete="current-password"
          autocapitalize="off" spellcheck="false" required ref=${field}
          aria-invalid=${told ? "true" : undefined}
          aria-describedby=${told ? "key-help key-error" : "key-help"} />
        <p id="key-error" class="login-error" role="alert">${told}</p>
        <p id="key-help" class="login-help">${words.keyHelp}</p>
        <button type="submit" class="login-enter" aria-disabled=${state.busy}>${words.enter}</button>
      </form>
      <button type="button" class="tool with-text" aria-label=${words.switchLanguageLabel}
        lang=${words.switchLanguage === "English" ? "en" : "zh-CN"}
        onClick=${switchLanguage}><${Globe} /><span>${words.switchLanguage}</span></button>
    </main>
  `;
}
