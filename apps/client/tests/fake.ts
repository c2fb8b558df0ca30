// A socket that does what a test says, and remembers what it was told.

import type { Meta, Ready, ServerEvents } from "../src/events.ts";
import { Session, type Timing } from "../src/session.ts";
import type { SocketLike } from "../src/wire.ts";

type Listener = (...args: never[]) => void;

export class FakeSocket implements SocketLike {
  connected = false;
  /** What was sent, and how to answer it. */
  readonly sent: { name: string; args: unknown[]; answer(value: unknown): void; fail(): void }[] = [];
  /** How often it was told to connect. */
  connects = 0;
  readonly #listeners = new Map<string, Listener[]>();
  #any: ((name: string, ...args: unknown[]) => void)[] = [];

  connect(): void {
    this.connects += 1;
  }

  disconnect(): void {
    this.drop("io client disconnect");
  }

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  onAny(listener: (name: string, ...args: unknown[]) => void): void {
    this.#any.push(listener);
  }

  off(): void {
    this.#listeners.clear();
  }

  offAny(): void {
    this.#any = [];
  }

  timeout(): { emitWithAck(name: string, ...args: unknown[]): Promise<unknown> } {
    return {
      emitWithAck: (name, ...args) =>
        new Promise((resolve, reject) => {
          this.sent.push({ name, args, answer: resolve, fail: () => reject(new Error("no answer")) });
        }),
    };
  }

  /** The server is there, and the session with it. */
  open(ready: Partial<Ready> = {}): void {
    this.connected = true;
    this.#tell("connect");
    this.event("system:ready", { ...READY, ...ready });
  }

  event<Name extends keyof ServerEvents>(name: Name, payload: ServerEvents[Name], meta: Partial<Meta> = {}): void {
    for (const listener of this.#any) listener(name, payload, { at: "2026-01-01T00:00:00.000Z", ...meta });
  }

  /** As a server may send it that is newer than this client. */
  unknown(name: string, ...args: unknown[]): void {
    for (const listener of this.#any) listener(name, ...args);
  }

  /** The connection breaks; what waits for an answer gets none. */
  drop(reason: string): void {
    if (!this.connected) return;
    this.connected = false;
    this.#tell("disconnect", reason);
    for (const command of this.sent) command.fail();
  }

  #tell(event: string, ...args: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) (listener as (...args: unknown[]) => void)(...args);
  }
}

export const READY: Ready = {
  sessionId: "s1",
  containerId: "box",
  provider: "demo",
  model: "demo-1",
  tools: [],
  protocol: 1,
  lastEventId: "0-0",
  resumed: false,
  pending: [],
} as unknown as Ready;

/** A session over a socket that is a fake, and where each connection would resume from. */
export function session(
  timing: Timing = {},
  lastEventId?: string,
): {
  session: Session;
  socket: FakeSocket;
  resumesFrom(): string | undefined;
} {
  const socket = new FakeSocket();
  let last: () => string | undefined = () => undefined;
  const session = new Session(
    (from) => {
      last = from;
      return socket;
    },
    lastEventId,
    timing,
  );
  return { session, socket, resumesFrom: () => last() };
}

/** The promises that wait come to what they wait for. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
