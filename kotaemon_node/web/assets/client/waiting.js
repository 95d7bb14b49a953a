// Waiting, in a page and outside of one: for a time, for the network, until somebody looks.

const inPage = typeof document !== "undefined";

/** Whether this is a page that nobody looks at. */
export const isHidden = () => inPage && document.hidden;

/** Have `tell` called when nobody looks at the page any more. @returns {() => void} ends that */
export function whenHidden(tell) {
  if (!inPage) return () => {};
  const look = () => document.hidden && tell();
  document.addEventListener("visibilitychange", look);
  return () => document.removeEventListener("visibilitychange", look);
}

/** Wait until the page is looked at. @param {AbortSignal} signal ends the wait */
export function looked(signal) {
  if (!isHidden()) return Promise.resolve();
  return waiting(signal, [document, "visibilitychange"], () => !document.hidden);
}

/** Wait, but not longer than until the browser says that the network is back. */
export function pauseOrOnline(ms, signal) {
  return waiting(signal, [inPage ? globalThis : null, "online"], () => true, ms);
}

/** Wait until `holds` at an event, until `ms` are over, or until the abort. */
function waiting(signal, [target, name], holds, ms = null) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      target?.removeEventListener(name, told);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const told = () => holds() && end();
    const timer = ms === null ? null : setTimeout(end, ms);
    target?.addEventListener(name, told);
    signal.addEventListener("abort", end);
  });
}
