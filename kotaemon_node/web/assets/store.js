// One value that the whole page is drawn from, and who wants to know when it changes.
import { useLayoutEffect, useState } from "./html.js";

const TELL_WITHIN_MS = 100;

/** @template T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    this.listeners = new Set();
    this.due = false;
  }

  /** @param {Partial<T> | ((value: T) => Partial<T>)} change */
  set(change) {
    this.apply(change);
    this.tell();
  }

  /**
   * The same, but those who listen are told once for all changes between two pictures of the screen:
   * frames may come faster than they can be drawn. The value itself is never late.
   * @param {Partial<T> | ((value: T) => Partial<T>)} change
   */
  setOften(change) {
    this.apply(change);
    if (this.due) return;
    this.due = true;
    beforeNextPicture(() => {
      this.due = false;
      this.tell();
    });
  }

  /** @returns {() => void} what ends the subscription */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  apply(change) {
    const fields = typeof change === "function" ? change(this.value) : change;
    this.value = { ...this.value, ...fields };
  }

  tell() {
    for (const listener of [...this.listeners]) listener(this.value);
  }
}

/** The store's value inside a component. */
export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useLayoutEffect(() => {
    setValue(store.value); // it may have changed between the first drawing and now
    return store.subscribe(setValue);
  }, [store]);
  return value;
}

/** A page that nobody looks at gets no pictures, so a timer stands in where none comes in time. */
function beforeNextPicture(act) {
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    act();
  };
  requestAnimationFrame(once);
  setTimeout(once, TELL_WITHIN_MS);
}
