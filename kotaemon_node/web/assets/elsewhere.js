// Turns of the open conversation that were asked in another tab or on another device.
//
// Law: a turn has one teller. The turns that this page asked, or found open when it was loaded, are
// told by their own streams; what the session's stream says of those is passed over.

/** The turns that the session's stream tells, and how far each of them has come. */
export class Elsewhere {
  constructor() {
    /** @type {Map<string, number>} number of the last frame handed on, by turn id */
    this.last = new Map();
  }

  /** The ids of those that are not finished. */
  open() {
    return [...this.last.keys()];
  }

  /** From here on the session's stream tells this turn. */
  tell(turnId) {
    this.last.set(turnId, 0);
  }

  forget() {
    this.last.clear();
  }

  /**
   * What to do with a frame of the session's stream.
   * @returns {"pass" | "show" | "end" | "gap"} `end`: show it, it is the last; `gap`: frames before
   *   it are missing, so that the turn's own stream must tell it
   */
  take(frame) {
    const last = this.last.get(frame.turn_id);
    if (last === undefined) return "pass";
    if (frame.type === "snapshot") {
      this.last.set(frame.turn_id, frame.last);
      return "show";
    }
    if (frame.seq <= last) return "pass";
    if (frame.seq > last + 1) {
      this.last.delete(frame.turn_id);
      return "gap";
    }
    if (frame.type === "done" || frame.type === "error") {
      this.last.delete(frame.turn_id);
      return "end";
    }
    this.last.set(frame.turn_id, frame.seq);
    return "show";
  }
}
