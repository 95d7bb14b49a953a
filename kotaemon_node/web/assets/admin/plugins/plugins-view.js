// The plugins: what is wanted of each, what every pod has of it, and a way to bring a new one.
import { json } from "../../api.js";
import { html } from "../../html.js";
import { Empty, Read } from "../parts/notes.js";
import { useReading } from "../reading.js";
import { Plugin } from "./plugin.js";
import { PushForm } from "./push-form.js";

const LOOK_MS = 2_000;

export function PluginsView({ texts, place }) {
  const { t } = texts;
  const reading = useReading(() => json("GET", "/v1/plugins"), [], { everyMs: LOOK_MS });
  return html`
    <section class="view" aria-labelledby="view-title">
      <h1 id="view-title" class="view-title">${t.views.plugins}</h1>
      <${Read} texts=${texts} reading=${reading} draw=${({ plugins }) => plugins.length === 0
        ? html`<${Empty} title=${t.noPlugins} text=${t.noPluginsText} />`
        : html`<ul class="cards">${plugins.map((row) => html`
            <${Plugin} key=${row.name} texts=${texts} row=${row} open=${place[0] === row.name}
              onChanged=${reading.again} />`)}</ul>`} />
      <${PushForm} texts=${texts} onPushed=${reading.again} />
    </section>
  `;
}
