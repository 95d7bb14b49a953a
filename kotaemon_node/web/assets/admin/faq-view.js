// The FAQ and its drafts, as the chat page has them.
import { html } from "../html.js";
import { FaqPage } from "../ui/faq-page.js";

export const FaqView = ({ texts }) =>
  html`<${FaqPage} words=${texts.words} language=${texts.language} />`;
