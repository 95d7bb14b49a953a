// What is read from the server for as long as a view is shown: once, or again and again.
import { ApiError } from "../api.js";
import { useLayoutEffect, useRef, useState } from "../html.js";

const BACKOFF_MS_MAX = 15_000;

/**
 * @typedef {object} Reading
 * @property {any} value what was read last, null before
 * @property {ApiError | null} error why it could not be read just now
 * @property {boolean} loading
 * @property {() => void} again
 */

/**
 * Read when shown, when `keys` change, and every `everyMs` while somebody looks. Errors make it
 * rarer, up to 15 s.
 * @param {() => Promise<any>} read @param {any[]} keys
 * @returns {Reading}
 */
export function useReading(read, keys, { everyMs = 0 } = {}) {
  const [seen, setSeen] = useState({ value: null, error: null, loading: true });
  const latest = useRef(read);
  const again = useRef(() => {});
  latest.current = read;
  useLayoutEffect(() => {
    setSeen((before) => ({ ...before, value: null, loading: true }));
    const stop = repeat(() => latest.current(), setSeen, everyMs);
    again.current = stop.again;
    return stop;
  }, keys);
  return { ...seen, again: () => again.current() };
}

function repeat(read, tell, everyMs) {
  let timer = 0;
  let failures = 0;
  let over = false;
  let turn = 0;
  const once = async () => {
    clearTimeout(timer);
    if (over || document.hidden) return;
    turn += 1;
    const mine = turn;
    const stale = () => over || mine !== turn;
    try {
      const value = await read();
      if (stale()) return;
      failures = 0;
      tell({ value, error: null, loading: false });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (stale()) return;
      failures += 1;
      tell((before) => ({ ...before, error, loading: false }));
    }
    if (everyMs > 0) timer = setTimeout(once, Math.min(everyMs * 2 ** failures, BACKOFF_MS_MAX));
  };
  const looked = () => {
    if (!document.hidden && everyMs > 0) once();
  };
  document.addEventListener("visibilitychange", looked);
  once();
  const stop = () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", looked);
  };
  stop.again = once;
  return stop;
}

/** The time, told again every second, for what is "3 s ago". */
export function useNow(everyMs = 1_000) {
  const [now, setNow] = useState(Date.now());
  useLayoutEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/**
 * Something that a button does: busy while it goes on, then its error or nothing.
 * @returns {{busy: boolean, error: ApiError | null, run: (act: () => Promise<any>) => Promise<boolean>}}
 */
export function useDoing() {
  const [state, setState] = useState({ busy: false, error: null });
  const run = async (act) => {
    setState({ busy: true, error: null });
    try {
      await act();
      setState({ busy: false, error: null });
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setState({ busy: false, error });
      return false;
    }
  };
  return { ...state, run };
}
