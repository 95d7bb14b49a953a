// One question and its answer, with all that can be said about how the answer came to be.
import { askAgain, reconnect } from "../conversation.js";
import { copyText } from "../copying.js";
import { editAgain } from "../draft.js";
import { html, memo, useLayoutEffect, useState } from "../html.js";
import { errorText, localeOf } from "../i18n.js";
import { citedNumbers } from "../markdown.js";
import { isFinished } from "../turn.js";
import { Answer } from "./answer.js";
import { Again, Alert, Check, Copy, Pen } from "./icons.js";
import { Rating } from "./rating.js";
import { Reply } from "./reply.js";
import { SourceList } from "./source-list.js";
import { Tools } from "./tools.js";

const COPIED_SHOWN_MS = 1_500;
const TICK_MS = 1_000;
const SECONDS_SHOWN_FROM = 2;

export const Turn = memo(({ turn, words, newest: last, handedOff }) => {
  const newest = last && turn.message !== ""; // what nobody asked is not asked again
  const running = !isFinished(turn) && !turn.lost;
  const cited = citedNumbers(turn.text);
  if (turn.author) return html`<${Said} turn=${turn} words=${words} />`;
  if (!turn.message && turn.event) return html`<${Event} turn=${turn} words=${words} />`;
  if (turn.handoff) return html`<${Waits} turn=${turn} words=${words} />`;
  return html`
    <article class="turn" data-turn=${turn.id} data-state=${turn.state}>
      ${turn.message && html`<${Question} turn=${turn} words=${words} />`}
      <div class="answer" aria-label=${words.answer} role="group">
        ${turn.origin && html`<p class="said-by">${words.followUp}</p>`}
        ${turn.tools.length > 0 && html`<${Tools} tools=${turn.tools} words=${words} />`}
        <${Answer} turn=${turn} words=${words} running=${running} />
        ${running && html`<${Phase} turn=${turn} words=${words} />`}
        ${last && turn.asks && turn.state === "done" && !handedOff && html`
          <${Reply} turn=${turn} words=${words} />`}
        ${turn.lost && html`<${Lost} turn=${turn} words=${words} />`}
        ${turn.error && html`<${Failure} turn=${turn} words=${words} newest=${newest} />`}
        ${isStopped(turn) && !turn.event && html`<${Stopped} turn=${turn} words=${words} newest=${newest} />`}
        ${cited.length > 0 && html`
          <${SourceList} docs=${turn.sources} cited=${cited} words=${words} />`}
        ${!running && turn.text && html`<${Meta} turn=${turn} words=${words} newest=${newest} />`}
      </div>
      ${turn.event && html`<${Happened} event=${turn.event} words=${words} />`}
    </article>
  `;
});

const Question = ({ turn, words }) => html`
  <div class="question" lang=${localeOf(turn.message)}>
    <h2 class="hidden">${words.you}</h2>
    <button type="button" class="icon-button edit" aria-label=${words.editAgain}
      title=${words.editAgain} onClick=${() => editAgain(turn.message)}><${Pen} /></button>
    <p dir="auto">${turn.message}</p>
  </div>
`;

/** What a person said. */
const Said = ({ turn, words }) => html`
  <article class="turn said" data-turn=${turn.id} data-state=${turn.state}>
    <div class="answer" aria-label=${words.personSaid} role="group">
      <p class="said-by">${turn.name || words.person}</p>
      <div class="said-text"><${Answer} turn=${turn} words=${words} running=${false} /></div>
    </div>
  </article>
`;

/** A message that a person is to answer. */
const Waits = ({ turn, words }) => html`
  <article class="turn" data-turn=${turn.id} data-state=${turn.state}>
    <${Question} turn=${turn} words=${words} />
    <p class="sent">${words.sentToPerson}</p>
  </article>
`;

const Event = ({ turn, words }) => html`
  <article class="turn" data-turn=${turn.id} data-state=${turn.state}>
    <${Happened} event=${turn.event} words=${words} />
  </article>
`;

const Happened = ({ event, words }) => html`
  <p class="happened" data-event=${event}><span>${words.happened[event]}</span></p>
`;

const isStopped = (turn) => turn.state === "cancelled" || turn.state === "interrupted";

function Phase({ turn, words }) {
  const waiting = turn.link.state === "waiting" || turn.link.attempt > 0;
  const phase = waiting ? words.reconnecting : (words.phases[turn.phase] ?? turn.phase);
  const seconds = useSeconds(turn.latency, turn.phase);
  return html`
    <div class=${`phase ${waiting ? "troubled" : ""}`}>
      <span class="pulse" aria-hidden="true"><i></i><i></i><i></i></span>
      <span role="status">${phase}</span>
      ${seconds >= SECONDS_SHOWN_FROM && html`
        <span class="phase-time" aria-hidden="true">${words.elapsed(seconds)}</span>`}
    </div>
  `;
}

/** Whole seconds since the question, counted on from what the server said last. */
function useSeconds(latency, phase) {
  const [state, setState] = useState({ begun: Date.now(), now: Date.now() });
  useLayoutEffect(() => {
    const begun = Date.now() - (latency ?? 0) * 1000;
    setState({ begun, now: Date.now() });
    const timer = setInterval(() => setState({ begun, now: Date.now() }), TICK_MS);
    return () => clearInterval(timer);
  }, [latency, phase]);
  return Math.floor((state.now - state.begun) / 1000);
}

function Lost({ turn, words }) {
  return html`
    <div class="problem" role="alert">
      <${Alert} />
      <div><p><strong>${words.lostTitle}</strong> ${words.lostText}</p>
        <button type="button" class="small" onClick=${() => reconnect(turn)}>
          <${Again} />${words.reconnect}</button></div>
    </div>
  `;
}

function Failure({ turn, words, newest }) {
  const { error } = turn;
  return html`
    <div class="problem" role="alert">
      <${Alert} />
      <div><p>${errorText(words, error)}</p>
        ${error.traceId && html`
          <p class="trace">${words.trace} <code>${error.traceId}</code></p>`}
        ${newest && html`<${AskAgain} turn=${turn} words=${words} />`}</div>
    </div>
  `;
}

function Stopped({ turn, words, newest }) {
  return html`
    <p class="stopped">
      ${turn.state === "cancelled" ? words.stopped : words.interrupted}
      ${newest && html`<${AskAgain} turn=${turn} words=${words} />`}
    </p>
  `;
}

function AskAgain({ turn, words }) {
  return html`
    <button type="button" class="small" onClick=${() => askAgain(turn)}>
      <${Again} />${words.askAgain}</button>
  `;
}

/** Which pods, which knowledge, how long: there for those who look. */
function Meta({ turn, words, newest }) {
  const facts = [
    turn.servedBy.length > 0 && html`
      <span class="pods-used" title=${words.servedBy}>${turn.servedBy.join(" → ")}</span>`,
    ...Object.entries(turn.generation).map(([kb, number]) => words.generation(kb, number)),
    turn.seconds !== null && words.seconds(turn.seconds),
    turn.degraded && html`<span class="badge" title=${words.degradedWhy[turn.degraded] ?? turn.degraded}>${words.degraded}</span>`,
  ].filter(Boolean);
  return html`
    <footer class="meta" title=${turn.traceId && `${words.trace} ${turn.traceId}`}>
      <${CopyButton} text=${turn.text} words=${words} />
      ${newest && turn.state === "done" && html`
        <button type="button" class="icon-button" aria-label=${words.askAgain}
          title=${words.askAgain} onClick=${() => askAgain(turn)}><${Again} /></button>`}
      ${turn.state === "done" && html`<${Rating} turn=${turn} words=${words} />`}
      ${facts.map((fact) => html`<span class="fact">${fact}</span>`)}
    </footer>
  `;
}

function CopyButton({ text, words }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_SHOWN_MS);
  };
  const label = copied ? words.copied : words.copy;
  return html`
    <button type="button" class="icon-button" aria-label=${label} title=${label} onClick=${copy}>
      ${copied ? html`<${Check} />` : html`<${Copy} />`}
    </button>
  `;
}
