// A knowledge base: what it serves, its documents, its generations, and a search in it.
import { json } from "../../api.js";
import { html, useLayoutEffect, useState } from "../../html.js";
import { useStore } from "../../store.js";
import { ErrorNote, Waiting } from "../parts/notes.js";
import { Tabs } from "../parts/tabs.js";
import { useReading } from "../reading.js";
import { go, hrefOf } from "../route.js";
import { BaseFacts } from "./base-facts.js";
import { DocumentText } from "./document-text.js";
import { Documents } from "./documents.js";
import { DropArea } from "./drop-area.js";
import { Generations } from "./generations.js";
import { orderEnded, orders } from "./orders.js";
import { Orders } from "./orders-list.js";
import { SearchTester } from "./search-tester.js";

const DEFAULT = "default";
const TABS = ["documents", "generations", "search"];
const LOOK_MS = 5_000;

export function KnowledgeView({ texts, place }) {
  const { t } = texts;
  const [kb = DEFAULT, tab = "documents", name] = place;
  const path = `/v1/knowledge/${encodeURIComponent(kb)}`;
  const bases = useReading(knownBases, [], { everyMs: LOOK_MS });
  const base = useReading(() => orNone(json("GET", path)), [kb], { everyMs: LOOK_MS });
  const ended = useEnded(base.again);
  const tabs = TABS.map((one) => ({ name: one, text: t.knowledgeTabs[one], href: hrefOf("knowledge", kb, one) }));
  return html`
    <section class="view" aria-labelledby="view-title">
      <div class="view-head">
        <h1 id="view-title" class="view-title">${t.views.knowledge}</h1>
        <${Bases} t=${t} known=${bases.value ?? []} kb=${kb} tab=${tab} />
      </div>
      <${Orders} texts=${texts} seen=${useStore(orders).orders} />
      <${ErrorNote} texts=${texts} error=${base.error} onAgain=${base.again} />
      ${base.value === null && base.loading && html`<${Waiting} texts=${texts} />`}
      ${base.value !== null && html`<${BaseFacts} texts=${texts} kb=${kb} base=${base.value.told} />`}
      <${Tabs} label=${t.knowledgeParts} tabs=${tabs} current=${tab === "document" ? "documents" : tab} />
      ${tab === "documents" && html`
        <${DropArea} texts=${texts} kb=${kb} />
        <${Documents} key=${kb} texts=${texts} kb=${kb} ended=${ended} />`}
      ${tab === "document" && html`<${DocumentText} texts=${texts} kb=${kb} name=${name ?? ""} />`}
      ${tab === "generations" && html`<${Generations} key=${kb} texts=${texts} kb=${kb} ended=${ended} />`}
      ${tab === "search" && html`<${SearchTester} key=${kb} texts=${texts} kb=${kb} />`}
    </section>
  `;
}

/** The names of what pods serve: anybody may ask that. */
async function knownBases() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" } });
    return Object.keys((await answer.json()).generations ?? {}).sort();
  } catch {
    return []; // the view itself says what is wrong with the line
  }
}

/** A base without a document is none yet: that is no error here. */
async function orNone(asked) {
  try {
    return { told: await asked };
  } catch (error) {
    if (error.status === 404) return { told: null };
    throw error;
  }
}

/** How many orders have ended since this was shown; whoever depends on it reads again. */
function useEnded(again) {
  const [ended, setEnded] = useState(0);
  useLayoutEffect(() => {
    const told = () => {
      setEnded((count) => count + 1);
      again();
    };
    orderEnded.add(told);
    return () => orderEnded.delete(told);
  }, []);
  return ended;
}

const NEW = "\u0000new";

function Bases({ t, known, kb, tab }) {
  const [naming, setNaming] = useState(false);
  const all = known.includes(kb) ? known : [...known, kb].sort();
  const chosen = (event) => {
    const { value } = event.currentTarget;
    if (value === NEW) setNaming(true);
    else go("knowledge", value, tab === "document" ? "documents" : tab);
  };
  const named = (event) => {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get("kb").trim();
    setNaming(false);
    if (name) go("knowledge", name, "documents");
  };
  if (naming) {
    return html`
      <form class="inline-form" onSubmit=${named}>
        <label>${t.newBase} <input class="input" name="kb" required pattern="[A-Za-z0-9_.\\-]{1,128}"
          title=${t.newBaseHelp} autocapitalize="off" autocomplete="off" spellcheck="false" ref=${focusNow} /></label>
        <button type="submit" class="small">${t.open}</button>
        <button type="button" class="small" onClick=${() => setNaming(false)}>${t.no}</button>
      </form>
    `;
  }
  return html`
    <label class="inline-label">${t.base}
      <select class="input" value=${kb} onChange=${chosen}>
        ${all.map((name) => html`<option key=${name} value=${name} selected=${name === kb}>${name}</option>`)}
        <option value=${NEW}>${t.newBaseOption}</option>
      </select></label>
  `;
}

const focusNow = (field) => field?.focus();
