// Light or dark: as the system has it, or as the reader chose. `early.js` applies it at the start.
import { Store } from "./store.js";

const KEPT_AS = "kotaemon.theme";

export const THEMES = ["system", "light", "dark"];

/** @type {Store<{name: "system" | "light" | "dark"}>} */
export const theme = new Store({ name: document.documentElement.dataset.theme ?? "system" });

/** @param {"system" | "light" | "dark"} name */
export function chooseTheme(name) {
  theme.set({ name });
  apply(name);
  try {
    if (name === "system") localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, name);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
}

/** Put the browser's own bars into the page's colour. */
export function watchTheme() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colourBars);
  colourBars();
}

function apply(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  colourBars();
}

function colourBars() {
  const ground = getComputedStyle(document.body).backgroundColor;
  for (const bar of document.querySelectorAll("meta[name=theme-color]")) bar.content = ground;
}
