// The admin page's own words, beside those that it shares with the chat page.
import { wordsOf } from "../i18n.js";
import { ADMIN_EN } from "../words-admin-en.js";
import { ADMIN_ZH } from "../words-admin-zh.js";
import { formatsOf } from "./format.js";

const ADMIN = { en: ADMIN_EN, zh: ADMIN_ZH };
const SHARED = new Set(["network", "internal", "http_502", "http_503", "http_504"]);
const made = new Map();

/**
 * All that is said in a language: `t` the admin page's words, `words` the chat page's, `f` numbers
 * and times.
 * @returns {{language: "en" | "zh", t: typeof ADMIN_EN, words: object, f: object}}
 */
export function textsOf(language) {
  if (!made.has(language)) {
    made.set(language, {
      language, t: ADMIN[language], words: wordsOf(language), f: formatsOf(language, ADMIN[language]),
    });
  }
  return made.get(language);
}

/** What went wrong and what to do next. @param {{code: string, message: string}} error */
export function explained({ t, words }, error) {
  const shared = SHARED.has(error.code) ? words.errors[error.code] : "";
  const what = (t.errors[error.code] ?? shared) || error.message;
  const next = t.next[error.code] ?? (error.retryable ? t.next.retryable : "");
  return [what || words.errors.internal, next].filter(Boolean).join(" ");
}
