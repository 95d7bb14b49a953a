// Figures of some days: what was asked, what was answered, how fast, and what it cost.
import { json } from "../../api.js";
import { html, useState } from "../../html.js";
import { Empty, Read } from "../parts/notes.js";
import { Plot } from "../parts/plot.js";
import { useReading } from "../reading.js";
import { Questions } from "./questions.js";

const SPANS = [7, 14, 35];
const DAY_MS = 86_400_000;
const LOOK_MS = 30_000;

export function AnalyticsView({ texts, role }) {
  const { t } = texts;
  const [days, setDays] = useState(SPANS[0]);
  const reading = useReading(() => json("GET", `/v1/analytics?from=${dayBefore(days - 1)}&to=${dayBefore(0)}`),
    [days], { everyMs: LOOK_MS });
  return html`
    <section class="view" aria-labelledby="view-title">
      <div class="view-head"><h1 id="view-title" class="view-title">${t.views.analytics}</h1>
        <label class="inline-label">${t.span}<select class="input" onChange=${(event) => setDays(Number(event.currentTarget.value))}>
          ${SPANS.map((span) => html`<option key=${span} value=${span} selected=${span === days}>${t.lastDays(span)}</option>`)}
        </select></label></div>
      <${Read} texts=${texts} reading=${reading} draw=${(report) => (report.totals.turns === 0
        ? html`<${Empty} title=${t.noFigures} text=${t.noFiguresText} />`
        : html`<${Report} texts=${texts} report=${report} role=${role} />`)} />
    </section>
  `;
}

const dayBefore = (count) => new Date(Date.now() - count * DAY_MS).toISOString().slice(0, 10);

function Report({ texts, report, role }) {
  const { t, f } = texts;
  const { totals } = report;
  const share = (part, whole) => (whole > 0 ? f.share(part / whole) : "–");
  const tiles = [
    [t.turns, f.number(totals.turns), t.sessionsCount(f.number(totals.sessions))],
    [t.answered, share(totals.answered, totals.answered + totals.unanswered), t.unansweredCount(f.number(totals.unanswered))],
    [t.handoffRate, f.share(totals.handoff_rate), t.handoffsCount(f.number(totals.handoffs))],
    [t.liked, share(totals.up, totals.up + totals.down), t.ratings(f.number(totals.up), f.number(totals.down))],
    [t.firstText, f.took(totals.first_text_s?.p50), t.ninetyFive(f.took(totals.first_text_s?.p95))],
    [t.wholeAnswer, f.took(totals.total_s?.p50), t.ninetyFive(f.took(totals.total_s?.p95))],
    [t.cost, f.cost(totals.cost), t.tokens(f.number(totals.prompt_tokens), f.number(totals.completion_tokens))],
    [t.troubled, share(totals.failed + totals.degraded, totals.turns), t.failedAndDegraded(f.number(totals.failed), f.number(totals.degraded))],
  ];
  return html`
    <dl class="tiles">${tiles.map(([name, value, help]) => html`
      <div key=${name} class="tile"><dt>${name}</dt><dd>${value}</dd><dd class="tile-help">${help}</dd></div>`)}</dl>
    <${Plots} texts=${texts} rows=${report.days} />
    <div class="two-columns">
      <${Questions} texts=${texts} title=${t.topQuestions} rows=${report.top_questions} none=${t.noQuestions} />
      <${Questions} texts=${texts} title=${t.unansweredQuestions} rows=${report.unanswered_questions}
        none=${t.noUnanswered} canAnswer=${role !== "agent"} />
    </div>
  `;
}

function Plots({ texts, rows }) {
  const { t, f } = texts;
  const days = rows.map(({ day }) => f.day(day));
  const of = (read) => rows.map(({ figures }) => read(figures));
  const shared = { texts, days };
  return html`
    <div class="plots">
      <${Plot} ...${shared} kind="bars" title=${t.plots.turns} show=${f.number} series=${[
        { name: t.answeredTurns, values: of(({ answered }) => answered) },
        { name: t.unansweredTurns, values: of(({ unanswered }) => unanswered) },
        { name: t.failedTurns, values: of(({ failed, cancelled, interrupted }) => failed + cancelled + interrupted) }]} />
      <${Plot} ...${shared} kind="lines" title=${t.plots.firstText} show=${f.took} series=${[
        { name: t.median, values: of(({ first_text_s: time }) => time?.p50 ?? null) },
        { name: t.p95, values: of(({ first_text_s: time }) => time?.p95 ?? null) }]} />
      <${Plot} ...${shared} kind="lines" title=${t.plots.total} show=${f.took} series=${[
        { name: t.median, values: of(({ total_s: time }) => time?.p50 ?? null) },
        { name: t.p95, values: of(({ total_s: time }) => time?.p95 ?? null) }]} />
      <${Plot} ...${shared} kind="bars" title=${t.plots.cost} show=${f.cost} series=${[
        { name: t.cost, values: of(({ cost }) => cost) }]} />
      <${Plot} ...${shared} kind="bars" title=${t.plots.handoffs} show=${f.number} series=${[
        { name: t.handoffs, values: of(({ handoffs }) => handoffs) }]} />
    </div>
  `;
}
