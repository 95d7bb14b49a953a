// The view library in one place: Preact with HTML templates instead of JSX, so no build step.
import { Component, h, render } from "./vendor/preact.js";
import { useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
// Effects run before the next event is handled: a key pressed right after something opened counts.
export { render, useLayoutEffect, useMemo, useRef, useState };

/** A component that is drawn again only when a property is another value than before. */
export function memo(draw) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = new Set([...Object.keys(this.props), ...Object.keys(next)]);
      return [...names].some((name) => this.props[name] !== next[name]);
    }

    render() {
      return html`<${draw} ...${this.props} />`;
    }
  };
}

/** Whether a media query holds, followed live. @param {string} query */
export function useMedia(query) {
  const list = useMemo(() => matchMedia(query), [query]);
  const [matches, setMatches] = useState(list.matches);
  useLayoutEffect(() => {
    const told = () => setMatches(list.matches);
    list.addEventListener("change", told);
    return () => list.removeEventListener("change", told);
  }, [list]);
  return matches;
}
