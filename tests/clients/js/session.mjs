// A session as these programs see it: every event in order, and a promise for each that is waited for.
import { io } from "socket.io-client";

const PATIENCE_MS = 20_000;

export function fail(why) {
  console.error(why);
  process.exit(1);
}

export function check(condition, why) {
  if (!condition) fail(why);
}

process.on("unhandledRejection", (error) => fail(error.stack ?? String(error)));

/** Makes the demo provider take these steps, without pauses. */
export function script(...steps) {
  return "script: " + JSON.stringify(steps.map((step) => ({ delay_ms: 0, ...step })));
}

export class Session {
  constructor(url, options = {}) {
    this.seen = [];
    this.read = 0;
    this.waiting = [];
    this.socket = io(url, { reconnectionDelay: 50, ...options });
    this.socket.onAny((name, payload, meta) => {
      this.seen.push({ name, payload, meta });
      for (const look of this.waiting.splice(0)) look();
    });
    this.socket.on("connect_error", (error) => console.error("connect_error:", error.message));
  }

  /** The next event that is called so; those before it are passed over. */
  async until(name, wanted = () => true) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      while (this.read < this.seen.length) {
        const event = this.seen[this.read++];
        if (event.name === name && wanted(event)) return event;
        if (event.name === "error" && name !== "error") fail(`the server refused: ${event.payload}`);
      }
      const rest = deadline - Date.now();
      if (rest <= 0) fail(`no ${name} among ${JSON.stringify(this.seen)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, rest);
        this.waiting.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** Sends an event; its acknowledgement must say ok. */
  async send(name, payload) {
    const ack = await this.socket.timeout(PATIENCE_MS).emitWithAck(name, payload);
    check(ack.ok === true, `${name} was refused: ${JSON.stringify(ack)}`);
    return ack;
  }
}
