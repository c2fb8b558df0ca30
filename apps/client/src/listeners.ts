/** Who hears of something. One that throws keeps nobody else from hearing: its error is reported as uncaught. */
export class Listeners<Args extends unknown[]> {
  readonly #all = new Set<(...args: Args) => void>();

  /** Adds one; what it returns takes it away. */
  add(listener: (...args: Args) => void): () => void {
    // A function of its own, so that the same listener may be there twice.
    const entry = (...args: Args) => listener(...args);
    this.#all.add(entry);
    return () => void this.#all.delete(entry);
  }

  tell(...args: Args): void {
    for (const listener of [...this.#all]) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
