// What is the page's own: its language, whether the side panel is open, whether there is a network.
import { applyLanguage, fetchWords, keepLanguage, preferredLanguage } from "./i18n.js";
import { Store } from "./store.js";
import { watchTheme } from "./theme.js";

/** From this width on the side panel has its own column and is open from the start. */
export const WIDE = "(min-width: 1080px)";
/** Up to this width panels are sheets that cover the page. */
export const PHONE = "(max-width: 640px)";

/** @type {Store<{language: "en" | "zh", side: boolean, online: boolean}>} */
export const view = new Store({
  language: preferredLanguage(),
  side: matchMedia(WIDE).matches,
  online: navigator.onLine,
});

export function watchView() {
  applyLanguage(view.value.language);
  addEventListener("online", () => view.set({ online: true }));
  addEventListener("offline", () => view.set({ online: false }));
  matchMedia(WIDE).addEventListener("change", ({ matches }) => view.set({ side: matches }));
  watchTheme();
  watchKeyboard();
}

export async function switchLanguage() {
  const language = view.value.language === "en" ? "zh" : "en";
  await fetchWords(language);
  view.set({ language });
  keepLanguage(language);
  applyLanguage(language);
}

export const toggleSide = () => view.set(({ side }) => ({ side: !side }));

export const closeSide = () => view.set({ side: false });

/** Some browsers lay the keyboard over the page: the page then ends above it, with its field. */
function watchKeyboard() {
  const seen = globalThis.visualViewport;
  if (!seen) return;
  const measure = () => {
    const zoomed = seen.scale > 1.01;
    const covered = zoomed ? 0 : Math.max(0, Math.round(innerHeight - seen.height));
    document.documentElement.style.setProperty("--keyboard", `${covered}px`);
    if (covered > 0) scrollTo(0, 0); // such browsers push the page up instead
  };
  seen.addEventListener("resize", measure);
  measure();
}
