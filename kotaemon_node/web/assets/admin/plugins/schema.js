// From a plugin's `config_schema` to the fields of a form, and from those back to a configuration.
// Pure: values in, values out.

/**
 * @typedef {object} FieldSpec
 * @property {string} name @property {string} label @property {string} help
 * @property {"text" | "secret" | "number" | "integer" | "boolean" | "enum" | "lines" | "json"} kind
 * @property {any[]} options @property {boolean} required
 * @property {number | undefined} min @property {number | undefined} max
 * @property {any} value as it is now @property {any} fallback what the manifest says
 */

/**
 * The fields of a form; those without a schema are told by the values that there are.
 * @returns {FieldSpec[]}
 */
export function fieldsOf(schema, defaults, config) {
  const declared = schema.properties ?? {};
  const names = [...new Set([...Object.keys(declared), ...Object.keys(defaults), ...Object.keys(config)])];
  return names.map((name) => {
    const said = isObject(declared[name]) ? declared[name] : {};
    const fallback = defaults[name] ?? said.default;
    const value = config[name] ?? fallback;
    return {
      name, value, fallback,
      label: said.title ?? name,
      help: said.description ?? "",
      kind: kindOf(said, value),
      options: said.enum ?? [],
      required: (schema.required ?? []).includes(name),
      min: said.minimum, max: said.maximum,
    };
  });
}

function kindOf(said, value) {
  if (isSecret(value) || said.writeOnly || said.format === "password") return "secret";
  if (Array.isArray(said.enum)) return "enum";
  const type = said.type ?? typeOf(value);
  if (type === "string") return "text";
  if (["number", "integer", "boolean"].includes(type)) return type;
  const ofTexts = said.items?.type === "string"
    || Array.isArray(value) && value.every((one) => typeof one === "string");
  return type === "array" && ofTexts ? "lines" : "json";
}

function typeOf(value) {
  if (Array.isArray(value)) return "array";
  return value === undefined ? "string" : typeof value;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export const isSecret = (value) =>
  isObject(value) && Object.keys(value).length === 1 && typeof value.secret === "string";

/** A value of a secret's field that names no secret: it stays hidden. */
export const isHidden = ({ kind, value }) =>
  kind === "secret" && value !== undefined && value !== null && !isSecret(value);

/** What stands in a field. */
export function shownValue({ kind, value }) {
  if (kind === "secret") return isSecret(value) ? value.secret : "";
  if (kind === "lines") return (value ?? []).join("\n");
  if (kind === "json") return value === undefined ? "" : JSON.stringify(value, null, 2);
  return value ?? "";
}

/**
 * What a field says; undefined where it says nothing of its own.
 * @param {string | boolean} typed @throws {SyntaxError} of a field that is no JSON
 */
export function readValue(field, typed) {
  switch (field.kind) {
    case "boolean":
      return typed;
    case "number":
    case "integer":
      return typed === "" ? undefined : Number(typed);
    case "enum":
      return field.options.find((option) => String(option) === typed);
    case "secret":
      return typed === "" ? undefined : { secret: typed };
    case "lines":
      return typed.split("\n").map((line) => line.trim()).filter(Boolean);
    case "json":
      return typed.trim() === "" ? undefined : JSON.parse(typed);
    default:
      return typed === "" && !field.required ? undefined : typed;
  }
}

/**
 * The configuration that is there, with the fields that somebody changed; the rest is not touched.
 * @param {Set<string>} changed names of fields
 */
export function configOf(fields, config, changed, read) {
  const made = new Map(Object.entries(config));
  for (const field of fields.filter(({ name }) => changed.has(name))) {
    const value = read(field);
    const same = JSON.stringify(value) === JSON.stringify(field.fallback);
    if (value === undefined || same && !made.has(field.name)) made.delete(field.name);
    else made.set(field.name, value);
  }
  return Object.fromEntries(made);
}
