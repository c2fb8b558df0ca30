// A value, who looks at it, and when they are told: once for all that happens within a frame.

export class Store<T> {
  #value: T;
  #due = false;
  readonly #watchers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  change(how: (value: T) => T): void {
    const next = how(this.#value);
    if (next === this.#value) return;
    this.#value = next;
    if (this.#due) return;
    this.#due = true;
    // No animation frame: those do not come in a tab that nobody looks at, where the title still tells of questions.
    setTimeout(() => {
      this.#due = false;
      for (const watcher of this.#watchers) watcher();
    }, 16);
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}
