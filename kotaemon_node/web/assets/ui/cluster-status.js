// A dot that says how the cluster is, and behind it the pods one by one.
import { cluster, refreshCluster } from "../cluster.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { useStore } from "../store.js";

export function ClusterStatus({ words, talk }) {
  const seen = useStore(cluster);
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  useDismissal(box, open, setOpen);
  const toggle = () => {
    if (!open) refreshCluster();
    setOpen(!open);
  };
  const label = labelOf(words, seen);
  return html`
    <div class="cluster" ref=${box}>
      <button type="button" class="tool with-text" aria-expanded=${open}
        aria-label=${`${words.cluster}: ${label}`} onClick=${toggle}>
        <span class=${`dot ${seen.state}`}></span><span class="cluster-label">${label}</span>
      </button>
      ${open && html`
        <section class="popover" aria-label=${words.cluster}>
          <p class="popover-title">
            <span class=${`dot ${seen.state}`}></span>${summaryOf(words, seen)}
          </p>
          <ul class="pods">${seen.pods.map((pod) => podRow(words, pod, lastPod(talk)))}</ul>
        </section>`}
    </div>
  `;
}

function podRow(words, pod, last) {
  const generations = pod.generations.map(([kb, number]) => words.generation(kb, number));
  return html`
    <li key=${pod.name}>
      <span class=${`dot ${pod.ready ? "ready" : "down"}`}></span>
      <span class="pod-name">${pod.name}</span>
      <span class="pod-state">${pod.ready ? words.ready : words.notReady}</span>
      <span class="pod-more">
        ${[...generations, pod.running > 0 && words.runningTurns(pod.running)]
          .filter(Boolean).join(", ")}
      </span>
      ${pod.name === last && html`<span class="pod-more accent">${words.lastServed}</span>`}
    </li>
  `;
}

function labelOf(words, { state, pods }) {
  if (state === "unknown") return words.clusterUnknown;
  if (state === "down") return words.clusterDown;
  return words.clusterReady(pods.filter((pod) => pod.ready).length, pods.length);
}

function summaryOf(words, seen) {
  if (seen.state === "unknown" || seen.state === "down") return labelOf(words, seen);
  return seen.converged ? words.inStep : words.outOfStep;
}

const lastPod = (talk) => talk.turns.findLast((turn) => turn.servedBy.length > 0)?.servedBy.at(-1);

function useDismissal(box, open, setOpen) {
  useLayoutEffect(() => {
    if (!open) return undefined;
    const away = (event) => !box.current.contains(event.target) && setOpen(false);
    const escape = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // this key press has done its work
      setOpen(false);
      box.current.querySelector("button").focus();
    };
    addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape);
    return () => {
      removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);
}
