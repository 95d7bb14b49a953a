// The page's icons: drawn as strokes in the colour of the text around them.
import { html } from "../html.js";

const icon = (paths) => () => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    ${paths.map((d) => html`<path d=${d} />`)}
  </svg>
`;

export const Menu = icon(["M4 6.500h16M4 12h16M4 17.500h10"]);
export const Pen = icon(["M4 20h4L19 9a2.100 2.100 0 0 0-4-4L4 16v4Z", "m13.500 6.500 4 4"]);
export const Send = icon(["M12 19V5", "m5.500 11.500 6.500-6.500 6.500 6.500"]);
export const Microphone = icon([
  "M12 3.500a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0v-5a3 3 0 0 0-3-3Z", "M5.500 11.500a6.500 6.500 0 0 0 13 0M12 18v2.500",
]);
export const Square = icon(["M7 7h10v10H7z"]);
export const Close = icon(["m6 6 12 12M18 6 6 18"]);
export const Back = icon(["m14.500 5.500-6.500 6.500 6.500 6.500"]);
export const Forward = icon(["m9.500 5.500 6.500 6.500-6.500 6.500"]);
export const Down = icon(["M12 5v14", "m5.500 12.500 6.500 6.500 6.500-6.500"]);
export const Copy = icon(["M9 9h11v11H9z", "M5 15H4V4h11v1"]);
export const Check = icon(["m5 12.500 4.500 4.500L19 7.500"]);
export const Bin = icon(["M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7M10.200 11v5M13.800 11v5"]);
export const ThumbUp = icon([
  "M4 11h3.500v9H4zM7.500 11l4-7.500c1.600 0 2.600 1 2.300 2.700L13.300 9.500h5c1.400 0 2.300 1 2 2.400l-1.500 6.400a2.200 2.200 0 0 1-2.200 1.700H7.500",
]);
export const ThumbDown = icon([
  "M4 4h3.500v9H4zM7.500 13l4 7.500c1.600 0 2.600-1 2.300-2.700l-.5-3.300h5c1.400 0 2.300-1 2-2.400l-1.500-6.400a2.200 2.200 0 0 0-2.200-1.700H7.500",
]);
export const Again = icon(["M19.500 12a7.500 7.500 0 1 1-2.200-5.300", "M19.500 3.500v4.500h-4.500"]);
export const Globe = icon([
  "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17Z",
  "M3.500 12h17M12 3.500c2.400 2.300 3.500 5.300 3.500 8.500s-1.100 6.200-3.500 8.500c-2.400-2.300-3.500-5.300-3.500-8.500s1.100-6.200 3.500-8.500Z",
]);
export const Leave = icon(["M10 4.500H5v15h5", "M10.500 12H20", "m16.500 8.500 3.500 3.500-3.500 3.500"]);
export const Page = icon(["M6 3.500h8l4 4v13H6z", "M14 3.500v4h4M9 12h6M9 16h6"]);
export const Book = icon([
  "M12 6.500C10 5 7 4.500 4 4.500v13c3 0 6 .5 8 2 2-1.500 5-2 8-2v-13c-3 0-6 .5-8 2Z", "M12 6.500v13",
]);
export const Alert = icon(["M12 4 2.800 19.500h18.400L12 4Z", "M12 10v4.500M12 17v.2"]);
export const Gauge = icon(["M4.500 17.500a8.500 8.500 0 1 1 15 0", "m12 14 4-4.500M12 14v.2"]);
export const Find = icon(["M10.500 4.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12Z", "m15 15 4.500 4.500"]);
export const Sun = icon([
  "M12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7Z",
  "M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600 7 7M17 17l1.400 1.400M18.400 5.600 17 7M7 17l-1.400 1.400",
]);
export const Moon = icon(["M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10Z"]);
export const Screen = icon(["M4 5h16v11H4z", "M9 20h6M12 16v4"]);
