// An icon for each view.
import { html } from "../../html.js";

const PATHS = {
  cluster: ["M4 5h16v5H4zM4 14h16v5H4z", "M7.500 7.500h.1M7.500 16.500h.1"],
  knowledge: ["M6 3.500h8l4 4v13H6z", "M14 3.500v4h4M9 12h6M9 16h6"],
  sessions: ["M4 5.500h16v10.500H10l-4.500 3.500V16H4z", "M8 9.500h8M8 12.500h5"],
  plugins: ["M9 3.500v5M15 3.500v5M6 8.500h12v3a6 6 0 0 1-12 0z", "M12 17.500v3"],
  analytics: ["M4 20h16", "M6.500 16.500v-5M12 16.500V5M17.500 16.500V9"],
  queue: ["M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17Z", "M12 7.500V12l3 2"],
  audit: ["M12 3.500 5 6v5.500c0 4.200 2.900 7.600 7 9 4.100-1.400 7-4.800 7-9V6z", "M9 12l2.200 2.200L15.200 10"],
  faq: ["M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17Z", "M9.700 9.500c.2-1.400 1.200-2 2.300-2 1.300 0 2.400.8 2.400 2.100 0 1.900-2.400 1.900-2.400 3.700M12 16.500v.2"],
};

export const ViewIcon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    ${PATHS[name].map((d) => html`<path d=${d} />`)}
  </svg>
`;
