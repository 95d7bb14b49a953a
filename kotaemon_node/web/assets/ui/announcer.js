// Tells those who hear the page what an answer says, sentence by sentence and each once.
import { html, memo, useLayoutEffect, useRef } from "../html.js";
import { localeOf } from "../i18n.js";
import { sentencesAfter } from "../speaking.js";
import { isFinished } from "../turn.js";

const KEPT_MAX = 30; // what was read out needs not stay

/** Only what is written while the page is open: a conversation that is loaded is read by its reader. */
export const Announcer = memo(({ turn, sid }) => {
  const region = useRef(null);
  const place = useRef({ id: null, sid: null, at: 0 });
  useLayoutEffect(() => {
    if (turn === undefined) return;
    const { current } = place;
    const opened = current.sid !== sid;
    if (opened || current.id !== turn.id) {
      const begun = isFinished(turn) && opened ? turn.text.length : 0;
      place.current = { id: turn.id, sid, at: begun };
    } else if (turn.text.length < current.at) {
      current.at = 0; // it began again
    }
    const { said, at } = sentencesAfter(turn.text, place.current.at, isFinished(turn));
    place.current.at = at;
    if (said !== "") add(region.current, said);
  }, [turn?.id, turn?.text, turn?.state, sid]);
  return html`<div class="hidden" aria-live="polite" aria-relevant="additions" ref=${region}></div>`;
});

// Beside the view library: what was added stays as it is, or it would be read again.
function add(region, said) {
  const sentence = document.createElement("p");
  sentence.lang = localeOf(said);
  sentence.textContent = said;
  region.append(sentence);
  while (region.childElementCount > KEPT_MAX) region.firstElementChild.remove();
}
