// Two thumbs below an answer; the one that was chosen stays pressed.
import { html, useState } from "../html.js";
import { rate } from "../rating.js";
import { ThumbDown, ThumbUp } from "./icons.js";

const THUMBS = [
  { rating: "up", Icon: ThumbUp },
  { rating: "down", Icon: ThumbDown },
];

export function Rating({ turn, words }) {
  const [failed, setFailed] = useState(false);
  const choose = async (rating) => {
    setFailed(false);
    if (!(await rate(turn, rating))) setFailed(true);
  };
  return html`
    <span class="rating" role="group" aria-label=${words.rating}>
      ${THUMBS.map(({ rating, Icon }) => html`
        <button type="button" class="icon-button" key=${rating} aria-label=${words.ratings[rating]}
          title=${words.ratings[rating]} aria-pressed=${turn.rating === rating}
          onClick=${() => choose(rating)}><${Icon} /></button>`)}
      ${failed && html`<span role="alert">${words.ratingFailed}</span>`}
    </span>
  `;
}
