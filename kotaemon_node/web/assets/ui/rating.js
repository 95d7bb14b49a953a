// Two thumbs below an answer; the one that was chosen stays pressed. A thumb down may say why.
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { rate } from "../rating.js";
import { ThumbDown, ThumbUp } from "./icons.js";

const COMMENT_CHARS_MAX = 1_000; // the server's limit

const THUMBS = [
  { rating: "up", Icon: ThumbUp },
  { rating: "down", Icon: ThumbDown },
];

export function Rating({ turn, words }) {
  const [state, setState] = useState("idle");
  const choose = async (rating) => {
    setState(rating === "down" ? "asking" : "idle");
    if (!(await rate(turn, rating))) setState("failed");
  };
  const comment = async (text) => {
    setState("idle");
    if (text !== "") setState((await rate(turn, "down", text)) ? "thanked" : "failed");
  };
  return html`
    <span class="rating" role="group" aria-label=${words.rating}>
      ${THUMBS.map(({ rating, Icon }) => html`
        <button type="button" class="icon-button" key=${rating} aria-label=${words.ratings[rating]}
          title=${words.ratings[rating]} aria-pressed=${turn.rating === rating}
          onClick=${() => choose(rating)}><${Icon} /></button>`)}
      ${state === "thanked" && html`<span role="status">${words.commentThanks}</span>`}
      ${state === "failed" && html`<span role="alert">${words.ratingFailed}</span>`}
    </span>
    ${state === "asking" && html`<${Comment} words=${words} onSend=${comment} />`}
  `;
}

function Comment({ words, onSend }) {
  const field = useRef(null);
  useLayoutEffect(() => field.current.focus(), []);
  const send = (event) => {
    event.preventDefault();
    onSend(field.current.value.trim());
  };
  const pressed = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    onSend("");
  };
  return html`
    <form class="comment" onSubmit=${send} onKeyDown=${pressed}>
      <input type="text" ref=${field} maxlength=${COMMENT_CHARS_MAX} autocomplete="off" dir="auto"
        aria-label=${words.comment} placeholder=${words.comment} />
      <button type="submit" class="small">${words.commentSend}</button>
      <button type="button" class="small" onClick=${() => onSend("")}>${words.commentSkip}</button>
    </form>
  `;
}
