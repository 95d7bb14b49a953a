// A plugin's configuration as a form made from its schema, or as JSON.
import { html, useLayoutEffect, useRef, useState } from "../../html.js";
import { configOf, fieldsOf, isHidden, readValue, shownValue } from "./schema.js";

export function ConfigForm({ texts: { t }, row, busy, onSave }) {
  const config = (row.next ?? row.stable)?.config ?? {};
  const fields = fieldsOf(row.config_schema, row.config_default, config);
  const [raw, setRaw] = useState(fields.length === 0);
  const [told, setTold] = useState(null);
  const form = useRef(null);
  const drawn = useRef(new Map());
  useLayoutEffect(() => {
    // What the controls made of the values: whatever still stands so was changed by nobody.
    if (!raw) drawn.current = new Map(fields.map((field) => [field.name, typedIn(form.current, field)]));
  }, [raw]);
  const formed = () => {
    const typed = new Map(fields.map((field) => [field.name, typedIn(form.current, field)]));
    const changed = new Set([...typed.keys()].filter((name) => typed.get(name) !== drawn.current.get(name)));
    return configOf(fields, config, changed, (field) => readValue(field, typed.get(field.name)));
  };
  const save = async (event) => {
    event.preventDefault();
    let made;
    try {
      made = raw
        ? JSON.parse(form.current.elements.raw.value || "{}")
        : formed();
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      setTold({ failed: true, text: t.noJson(error.message) });
      return;
    }
    setTold(await onSave(made) ? { failed: false, text: t.configSaved } : null);
  };
  return html`
    <form class="config-form" ref=${form} onSubmit=${save}>
      ${raw
        ? html`<label class="form-row">${t.asJson}
            <textarea class="input mono" name="raw" rows="8" spellcheck="false"
              defaultValue=${JSON.stringify(config, null, 2)}></textarea></label>`
        : fields.map((field) => html`<${Field} key=${field.name} t=${t} plugin=${row.name} field=${field} />`)}
      ${told && html`<p class=${told.failed ? "reason" : "muted"} role="status">${told.text}</p>`}
      <p class="muted">${t.configHelp}</p>
      <div class="buttons">
        <button type="submit" class="primary" disabled=${busy}>${t.save}</button>
        ${fields.length > 0 && html`
          <button type="button" class="link" onClick=${() => setRaw(!raw)}>${raw ? t.asForm : t.asJson}</button>`}
      </div>
    </form>
  `;
}

function typedIn(form, { kind, name }) {
  const element = form.elements[`f-${name}`];
  return kind === "boolean" ? element.checked : element.value;
}

function Field({ t, plugin, field }) {
  const id = `config-${plugin}-${field.name}`;
  const help = field.kind === "secret" ? t.secretHelp : field.kind === "lines" ? t.linesHelp : "";
  const hidden = isHidden(field) ? t.secretStays : "";
  return html`
    <div class="form-row">
      <label for=${id}>${field.label}${field.required ? " *" : ""}</label>
      <${Control} id=${id} field=${field} />
      <p class="muted" id=${`${id}-help`}>${[field.help, help, hidden].filter(Boolean).join(" ")}</p>
    </div>
  `;
}

function Control({ id, field }) {
  const shared = { id, name: `f-${field.name}`, required: field.required, "aria-describedby": `${id}-help` };
  if (isHidden(field)) shared.required = false; // something is there already
  const value = shownValue(field);
  switch (field.kind) {
    case "boolean":
      return html`<input type="checkbox" ...${shared} required=${false} defaultChecked=${Boolean(field.value)} />`;
    case "enum":
      return html`<select class="input" ...${shared}>
        <option value="" selected=${!field.options.includes(field.value)}>–</option>${field.options.map((option) => html`
        <option key=${option} value=${String(option)} selected=${option === field.value}>${String(option)}</option>`)}</select>`;
    case "number":
    case "integer":
      return html`<input class="input" type="number" ...${shared} step=${field.kind === "integer" ? 1 : "any"}
        min=${field.min} max=${field.max} defaultValue=${value} />`;
    case "lines":
    case "json":
      return html`<textarea class=${`input ${field.kind === "json" ? "mono" : ""}`} rows="4" ...${shared}
        spellcheck="false" defaultValue=${value}></textarea>`;
    default:
      return html`<input class="input" type="text" ...${shared} autocomplete="off" spellcheck="false"
        pattern=${field.kind === "secret" ? "[A-Za-z0-9_.\\-]{1,64}" : undefined} defaultValue=${value} />`;
  }
}
