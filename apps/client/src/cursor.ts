// Which events of a session's log to hand on: each once, in the order of their numbers.

/** The number in an id, `<epoch>-<number>`. Numbers are dense. */
export function numberOf(id: string): number {
  const number = Number(id.slice(id.lastIndexOf("-") + 1));
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/** How far the log has been read. */
export class Cursor {
  #last: string | undefined;

  constructor(last?: string) {
    this.#last = last;
  }

  /** The id of the last event that was handed on: what a connection resumes from. */
  get last(): string | undefined {
    return this.#last;
  }

  /**
   * What to do with the event of this id: hand it on; pass over it, since it was handed on before (socket.io-client keeps
   * what it read before a break, and the server replays it); or ask for the log again, since events before it are missing.
   */
  meet(id: string): "next" | "seen" | "gap" {
    if (this.#last !== undefined) {
      const [number, last] = [numberOf(id), numberOf(this.#last)];
      if (number <= last) return "seen";
      if (number > last + 1) return "gap";
    }
    this.#last = id;
    return "next";
  }

  /** The log counts as read up to this event: a snapshot stands for it. */
  jump(id: string): void {
    this.#last = id;
  }
}
