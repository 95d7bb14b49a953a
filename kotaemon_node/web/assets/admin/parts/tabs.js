// Places of one view, as links beside each other.
import { html } from "../../html.js";

/** @param {{label: string, tabs: {name: string, text: string, href: string}[], current: string}} props */
export const Tabs = ({ label, tabs, current }) => html`
  <nav class="tabs" aria-label=${label}>
    ${tabs.map(({ name, text, href }) => html`
      <a key=${name} href=${href} aria-current=${name === current ? "page" : undefined}>${text}</a>`)}
  </nav>
`;
