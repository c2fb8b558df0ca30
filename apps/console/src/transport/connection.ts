// One session's connection: it comes back by itself, from where the log was applied to, unless the server says no for good.

import { io, type Socket } from "socket.io-client";
import { EVENT_NAMES, PROTOCOL, RETRYABLE, type Answer, type Meta, type ServerEvent } from "../contract.ts";

/** What a connection tells its owner. */
export interface Listener {
  /** An event came. */
  event(event: ServerEvent): void;
  /** The server answers; `system:ready` will follow. */
  connected(): void;
  /** There is no connection at the moment, and this one comes back by itself. */
  lost(problem: string): void;
  /** The server refused. `returns` says whether this one asks again by itself: where the reason may pass. */
  refused(reason: string, code: string | undefined, returns: boolean): void;
  /** Something went out, or its answer came. */
  sent(name: string, payload: unknown): void;
  answered(name: string, answer: Answer): void;
}

export interface Identity {
  readonly session: string | undefined;
  token(): string | undefined;
  lastEventId(): string;
}

/** How long an answer may take, in milliseconds. */
export const PATIENCE_MS = 20_000;

export class Connection {
  readonly #socket: Socket;
  readonly #listener: Listener;
  #refusal: { reason: string; code: string | undefined } | undefined;
  #returns = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(identity: Identity, listener: Listener) {
    this.#listener = listener;
    this.#socket = io({
      forceNew: true,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 300,
      reconnectionDelayMax: 5_000,
      query: identity.session === undefined ? {} : { sessionId: identity.session },
      auth: (give) => {
        const token = identity.token();
        give({ protocol: PROTOCOL, ...(token === undefined ? {} : { token }), lastEventId: identity.lastEventId() });
      },
    });
    this.#socket.on("connect", () => {
      this.#refusal = undefined;
      listener.connected();
    });
    this.#socket.on("connect_error", (error) => listener.lost(error.message));
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.onAny((name: string, payload: unknown, meta: unknown) => this.#received(name, payload, meta));
  }

  /** Sends and waits for the answer. It fails where there is no connection, or no answer in time. */
  async send<Name extends string>(name: Name, payload?: unknown): Promise<Answer<Name>> {
    if (!this.#socket.connected) throw new Error("There is no connection at the moment.");
    this.#listener.sent(name, payload);
    const args = payload === undefined ? [] : [payload];
    const answer = (await this.#socket.timeout(PATIENCE_MS).emitWithAck(name, ...args)) as Answer<Name>;
    this.#listener.answered(name, answer);
    return answer;
  }

  /** Reads the log again from what was applied on: there is a gap. */
  resync(): void {
    this.#socket.disconnect().connect();
  }

  /** Tries again now. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#refusal = undefined;
    if (!this.#socket.connected) this.#socket.disconnect().connect();
  }

  /** Comes back to this session after a break, now that the server has said what it is called. */
  named(session: string): void {
    this.#returns = 0;
    this.#socket.io.opts.query = { sessionId: session };
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#socket.offAny();
    this.#socket.off();
    this.#socket.disconnect();
  }

  #received(name: string, payload: unknown, meta: unknown): void {
    if (!EVENT_NAMES.has(name) || typeof meta !== "object" || meta === null) return;
    const event = { name, payload, meta: meta as Meta } as ServerEvent;
    if (event.name === "error") this.#refusal = { reason: String(payload), code: event.meta.code };
    this.#listener.event(event);
  }

  /** After "io server disconnect" socket.io-client does not come back by itself. */
  #disconnected(reason: Socket.DisconnectReason): void {
    if (reason === "io client disconnect") return;
    const refusal = this.#refusal;
    const returns = refusal === undefined || RETRYABLE.has(refusal.code ?? "");
    // A server that goes away says so, and the next one takes over: that is a break and no refusal.
    if (refusal && refusal.code !== "server_draining") this.#listener.refused(refusal.reason, refusal.code, returns);
    else this.#listener.lost(refusal?.reason ?? "The connection broke.");
    if (!returns || reason !== "io server disconnect") return;
    this.#returns += 1;
    const pause = Math.min(500 * 2 ** this.#returns, 15_000);
    this.#timer = setTimeout(() => this.#socket.connect(), pause * (0.75 + Math.random() / 2));
  }
}
