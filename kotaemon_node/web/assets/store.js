// One value that the whole page is drawn from, and who wants to know when it changes.
import { useEffect, useState } from "./html.js";

/** @template T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    this.listeners = new Set();
  }

  /** @param {Partial<T> | ((value: T) => Partial<T>)} change */
  set(change) {
    const fields = typeof change === "function" ? change(this.value) : change;
    this.value = { ...this.value, ...fields };
    for (const listener of [...this.listeners]) listener(this.value);
  }

  /** @returns {() => void} what ends the subscription */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** The store's value inside a component. */
export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    setValue(store.value); // it may have changed between the first drawing and now
    return store.subscribe(setValue);
  }, [store]);
  return value;
}
