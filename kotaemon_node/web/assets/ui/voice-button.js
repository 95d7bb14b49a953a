// The microphone beside the question; there is none where the cluster hears nothing.
import { access } from "../access.js";
import { api } from "../api.js";
import { conversation, joinTurn } from "../conversation.js";
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { useStore } from "../store.js";
import { Microphone, Square } from "./icons.js";

let offered = null; // asked once for each page, but a failure is no answer

function offer() {
  offered ??= api.json("GET", "/v1/voice").catch(() => {
    offered = null;
    return { hears: false };
  });
  return offered;
}

export function VoiceButton({ words, disabled, onText }) {
  const [hears, setHears] = useState(false);
  const [state, setState] = useState("off");
  const [problem, setProblem] = useState("");
  const talking = useRef(null);
  const presses = useRef(0);
  const { role } = useStore(access);
  useLayoutEffect(() => {
    // Who we are is known first: a closed cluster tells nobody before the login.
    if (role) offer().then((told) => setHears(told.hears && Boolean(navigator.mediaDevices)));
  }, [role]);
  useLayoutEffect(() => () => {
    presses.current += 1;
    talking.current?.stop();
  }, []);
  if (!hears) return null;
  const on = state !== "off";
  const press = async () => {
    presses.current += 1;
    const mine = presses.current;
    if (on) {
      talking.current?.stop();
      setState("off");
      return;
    }
    setProblem("");
    setState("listening");
    try {
      const { talk } = await import("../voice.js");
      if (mine !== presses.current) return; // stopped before it began
      talking.current = talk(conversation.value.sid, {
        state: (now, detail = "") => {
          setState(now);
          if (now === "off") setProblem(detail && (words.voiceProblems[detail] ?? detail));
        },
        partial: onText,
        turn: (turn) => {
          onText("");
          joinTurn(turn);
        },
      });
    } catch {
      if (mine !== presses.current) return;
      setState("off");
      setProblem(words.voiceProblems.refused);
    }
  };
  return html`
    <button type="button" class=${`send voice ${state}`} aria-pressed=${on}
      aria-label=${on ? words.voiceStates[state] : words.voice}
      title=${on ? words.voiceStates[state] : words.voice} disabled=${disabled && !on}
      onClick=${press}>${on ? html`<${Square} />` : html`<${Microphone} />`}</button>
    <span class="voice-said" role="status">${problem || (on ? words.voiceStates[state] : "")}</span>
  `;
}
