// A signed bundle on its way to all pods.
import { ApiError } from "../../api.js";
import { html, useRef, useState } from "../../html.js";
import { ErrorNote } from "../parts/notes.js";
import { useDoing } from "../reading.js";

export function PushForm({ texts, onPushed }) {
  const { t } = texts;
  const { busy, error, run } = useDoing();
  const [pushed, setPushed] = useState("");
  const form = useRef(null);
  const push = async (event) => {
    event.preventDefault();
    setPushed("");
    const body = new FormData(form.current);
    if (await run(async () => setPushed((await sent(body)).name))) {
      form.current.reset();
      onPushed();
    }
  };
  return html`
    <section class="card" aria-labelledby="push-title">
      <h2 id="push-title" class="section-title">${t.pushTitle}</h2>
      <p class="muted">${t.pushHelp}</p>
      <form class="push-form" ref=${form} onSubmit=${push}>
        <label class="form-row">${t.bundle}<input type="file" name="bundle" accept=".zip" required /></label>
        <label class="form-row">${t.signature}<input type="file" name="signature" required /></label>
        <label class="form-row">${t.firstOn}
          <input class="input tiny" type="number" name="rollout_percent" min="0" max="100" step="1" value="100" required /></label>
        <button type="submit" class="primary" disabled=${busy}>${busy ? t.pushing : t.push}</button>
      </form>
      <${ErrorNote} texts=${texts} error=${error} />
      ${pushed && html`<p role="status">${t.pushedOne(pushed)}</p>`}
    </section>
  `;
}

async function sent(body) {
  let response;
  try {
    response = await fetch("/v1/plugins", { method: "POST", body, credentials: "same-origin" });
  } catch (error) {
    throw new ApiError({ code: "network", message: String(error.message), retryable: true });
  }
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  const { code = `http_${response.status}`, message = response.statusText, retryable = false, trace_id: traceId = "" } = told.error ?? {};
  throw new ApiError({ code, message, retryable, traceId, status: response.status });
}
