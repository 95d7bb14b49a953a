// The page's words in English and Chinese, and which of the two is shown.

/** @type {Record<string, typeof import("./words-en.js").EN>} the languages fetched so far */
const WORDS = {};
const FETCH = {
  en: () => import("./words-en.js").then(({ EN }) => EN),
  zh: () => import("./words-zh.js").then(({ ZH }) => ZH),
};
const KEPT_AS = "kotaemon.language";
const HAN_SHARE_MIN = 0.3;
const LOCALES = { en: "en", zh: "zh-CN" };

/** @returns {"en" | "zh"} the language chosen before, else the browser's first that we have */
export function preferredLanguage() {
  const kept = read();
  if (kept in FETCH) return kept;
  const wished = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2));
  return wished.find((tag) => tag in FETCH) ?? "en";
}

/** @param {"en" | "zh"} language */
export function keepLanguage(language) {
  try {
    localStorage.setItem(KEPT_AS, language);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
}

/** Tell the browser (hyphens, glyph forms, screen readers) which language the page is in. */
export function applyLanguage(language) {
  document.documentElement.lang = LOCALES[language];
  document.title = WORDS[language].title;
}

/** Fetch the words of a language, most readers need one. Before that it cannot be shown. */
export async function fetchWords(language) {
  WORDS[language] ??= await FETCH[language]();
}

/** @returns {typeof import("./words-en.js").EN} */
export const wordsOf = (language) => WORDS[language];

/** The message for an error: ours for a code that we know, else the server's own. */
export function errorText(words, { code, message }) {
  return words.errors[code] ?? message ?? words.errors.internal;
}

/** "3 minutes ago" in the page's language. @param {number} thenMs */
export function ago(language, thenMs, nowMs) {
  const format = new Intl.RelativeTimeFormat(LOCALES[language], { numeric: "auto" });
  const minutes = Math.round((thenMs - nowMs) / 60_000);
  if (minutes > -1) return WORDS[language].justNow;
  if (minutes > -60) return format.format(minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (hours > -24) return format.format(hours, "hour");
  return format.format(Math.round(hours / 24), "day");
}

/**
 * The language a text is in, so that its glyphs take the right forms: Chinese when at least 30 % of
 * its words (a Han character counts as one) are Han, as the server judges it.
 */
export function localeOf(text) {
  const han = text.match(/[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]/g)?.length ?? 0;
  if (han === 0) return LOCALES.en;
  const words = text.match(/[A-Za-z\u00c0-\u024f]+/g)?.length ?? 0;
  return han / (han + words) >= HAN_SHARE_MIN ? LOCALES.zh : LOCALES.en;
}

function read() {
  try {
    return localStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return "";
  }
}

await fetchWords(preferredLanguage());
