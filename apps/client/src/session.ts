// One session: its events once and in order, its commands as promises, and a connection that comes back by itself.

import { Cursor, numberOf } from "./cursor.ts";
import { EVENT_NAMES, RETRYABLE } from "./events.ts";
import type { Accepted, ApprovalCommand, ApprovalRequired, Answers, Code, Meta } from "./events.ts";
import type { HistoryCommand, HistoryPage, MessageCommand, Ready, ServerEvents } from "./events.ts";
import { Refusal, Unanswered } from "./failures.ts";
import { Listeners } from "./listeners.ts";
import type { Answer, Command, Payload, ServerEvent, SocketLike } from "./wire.ts";

/** How the connection stands. */
export type State =
  | { readonly kind: "connecting" }
  | { readonly kind: "ready"; readonly ready: Ready }
  /** It broke, and comes back by itself. */
  | { readonly kind: "lost"; readonly problem: string }
  /** The server refused it, and will again. */
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "closed" };

export interface Timing {
  /** How long an answer may take, in milliseconds; 20,000 by default. */
  answerTimeout?: number;
  /** The first pause after the server ended the connection, in milliseconds; 500 by default. Each is twice the one before. */
  retryDelay?: number;
  /** The longest pause, in milliseconds; 15,000 by default. */
  retryDelayMax?: number;
}

type Stop = () => void;

export class Session {
  readonly #socket: SocketLike;
  readonly #cursor: Cursor;
  readonly #timing: Required<Timing>;
  readonly #events = new Listeners<[ServerEvent]>();
  readonly #states = new Listeners<[State]>();
  readonly #pending = new Map<string, ApprovalRequired>();
  /** The open questions that listeners have heard of. */
  readonly #asked = new Set<string>();
  /** Where the log has been read to what the last `system:ready` or `history:snapshot` told: questions unheard by then never come. */
  #caughtUpAt = 0;
  /** What an answer to a call is bound to, as far as the session was shown it. */
  readonly #digests = new Map<string, string>();
  #state: State = { kind: "connecting" };
  #refusal: Refusal | undefined;
  #isBehind = false;
  #returns = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `open` makes the socket; it is given what says where to resume. Use `connect` instead. */
  constructor(open: (last: () => string | undefined) => SocketLike, lastEventId: string | undefined, timing: Timing) {
    this.#timing = { answerTimeout: 20_000, retryDelay: 500, retryDelayMax: 15_000, ...timing };
    this.#cursor = new Cursor(lastEventId);
    this.#socket = open(() => this.#cursor.last);
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("connect_error", (error) => this.#become({ kind: "lost", problem: error.message }));
    this.#socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.#socket.onAny((name, payload, meta) => this.#received(name, payload, meta));
  }

  /** How the connection stands. */
  get state(): State {
    return this.#state;
  }

  /** The id of the last event that was handed on, to come back to it later with another connection. */
  get lastEventId(): string | undefined {
    return this.#cursor.last;
  }

  /** The calls that wait for a human now, by their ids. */
  get pending(): ReadonlyMap<string, ApprovalRequired> {
    return this.#pending;
  }

  /** Hears an event: each of the log once and in order, over all connections. What it returns ends that. */
  on<Name extends keyof ServerEvents>(name: Name, listener: (payload: ServerEvents[Name], meta: Meta) => void): Stop {
    return this.#events.add((event) => {
      if (event.name === name) listener(event.payload as ServerEvents[Name], event.meta);
    });
  }

  /** The same for every event. */
  onEvent(listener: (event: ServerEvent) => void): Stop {
    return this.#events.add(listener);
  }

  /** Hears how the connection stands, whenever that changes. */
  onState(listener: (state: State) => void): Stop {
    return this.#states.add(listener);
  }

  /** Waits until the session is there. It fails where the server refuses the connection for good, and after `close`. */
  ready(): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const look = (state: State): boolean => {
        if (state.kind === "ready") resolve(state.ready);
        else if (state.kind === "refused") reject(state.refusal);
        else if (state.kind === "closed") reject(new Unanswered("The session was closed."));
        else return false;
        return true;
      };
      if (look(this.#state)) return;
      const stop = this.onState((state) => {
        if (look(state)) stop();
      });
    });
  }

  /**
   * Says something, and waits until it is stored. When the connection breaks before the answer is there it goes out again with
   * the next one, under the same `clientMessageId`: it is accepted once.
   */
  async say(message: string | MessageCommand): Promise<Accepted> {
    const named = { clientMessageId: fresh(), ...(typeof message === "string" ? { text: message } : message) };
    for (;;) {
      await this.ready();
      try {
        return await this.send("message", named);
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        // Without this pause, a socket that is ready by its state and not connected would keep every timer from running.
        if (this.#state.kind === "ready") await new Promise((resume) => setTimeout(resume, this.#timing.retryDelay));
      }
    }
  }

  /**
   * Lets a call run: once, or as far as `scope` and `grant` say; with other arguments where `args` or `argsText` are given.
   * The answer is bound to the call as this session was last shown it.
   */
  async approve(callId: string, how: Omit<ApprovalCommand, "callId" | "approved" | "reason"> = {}): Promise<void> {
    await this.send("tool:approval", { callId, approved: true, ...this.#bound(callId), ...how });
  }

  /** Refuses a call. The reason reaches the model. */
  async deny(callId: string, reason?: string): Promise<void> {
    await this.send("tool:approval", {
      callId,
      approved: false,
      ...this.#bound(callId),
      ...(reason === undefined ? {} : { reason }),
    });
  }

  /** Cancels the turn that runs. */
  async cancel(): Promise<void> {
    await this.send("turn:cancel");
  }

  /** A page of the history, the newest without `before`. */
  history(where: HistoryCommand = {}): Promise<HistoryPage> {
    return this.send("history:get", where);
  }

  /** Empties the history. */
  async reset(): Promise<void> {
    await this.send("history:reset");
  }

  /** Ends the session: its sandbox goes now, its history stays. */
  async end(): Promise<void> {
    await this.send("session:end");
  }

  /** Sends any command. It fails with a `Refusal`, or with `Unanswered` where there is no connection or no answer in time. */
  async send<Name extends Command>(name: Name, ...payload: Payload<Name>): Promise<Answers[Name]> {
    if (!this.#socket.connected) throw new Unanswered("There is no connection at the moment.");
    let answer: Answer<Name>;
    try {
      answer = (await this.#socket.timeout(this.#timing.answerTimeout).emitWithAck(name, ...payload)) as Answer<Name>;
    } catch (error) {
      throw new Unanswered(`${name} was not answered.`, { cause: error });
    }
    if (!answer.ok) throw new Refusal(answer);
    return answer;
  }

  /** Leaves. The session goes on without this client. */
  close(): void {
    clearTimeout(this.#timer);
    this.#become({ kind: "closed" });
    this.#socket.offAny();
    this.#socket.off();
    this.#socket.disconnect();
  }

  #connected(): void {
    this.#refusal = undefined;
    this.#isBehind = false;
    this.#become({ kind: "connecting" });
  }

  #received(name: string, payload: unknown, meta: unknown): void {
    // What a newer server sends, and this client does not know.
    if (!EVENT_NAMES.has(name) || typeof meta !== "object" || meta === null) return;
    const event = { name, payload, meta } as ServerEvent;
    const { id } = event.meta;
    if (id !== undefined) {
      const place = this.#cursor.meet(id);
      if (place === "gap") this.#catchUp();
      if (place !== "next") return;
    }
    const isRepeated = event.name === "tool:approval_required" && this.#asked.has(event.payload.callId);
    this.#follow(event);
    if (!isRepeated) this.#events.tell(event);
    if (event.name === "system:ready") this.#become({ kind: "ready", ready: event.payload });
    this.#askUnheard(event.meta);
  }

  /**
   * Tells listeners of open questions that no event of the log brings any more: those asked before the page was loaded, or
   * before the event that this session resumed from. They come without an id, as they are no new events.
   */
  #askUnheard({ at }: Meta): void {
    if (numberOf(this.#cursor.last ?? "0-0") < this.#caughtUpAt) return;
    for (const call of [...this.#pending.values()]) {
      if (this.#asked.has(call.callId) || !this.#pending.has(call.callId)) continue;
      this.#asked.add(call.callId);
      this.#events.tell({ name: "tool:approval_required", payload: call, meta: { at, callId: call.callId } as Meta });
    }
  }

  #follow(event: ServerEvent): void {
    switch (event.name) {
      case "system:ready":
        this.#returns = 0;
        this.#wait(event.payload.pending, event.payload.lastEventId);
        // A new session's log is read from its beginning, also by a connection that follows this one.
        if (!event.payload.resumed && this.#cursor.last === undefined) this.#cursor.jump("0-0");
        break;
      case "history:snapshot":
        this.#cursor.jump(event.payload.lastEventId);
        this.#digests.clear();
        this.#list(event.payload.calls);
        this.#wait(event.payload.pending, event.payload.lastEventId);
        break;
      case "tool:approval_required":
        this.#pending.set(event.payload.callId, event.payload);
        this.#asked.add(event.payload.callId);
        this.#list([event.payload]);
        break;
      case "tool:calls":
        this.#list(event.payload);
        break;
      case "tool:approval_resolved":
        this.#pending.delete(event.payload.callId);
        this.#asked.delete(event.payload.callId);
        this.#digests.delete(event.payload.callId);
        break;
      case "error": {
        const code: Code = event.meta.code ?? "internal";
        this.#refusal = new Refusal({ code, message: event.payload, retryable: RETRYABLE.has(code) });
      }
    }
  }

  /** Remembers what answers to these calls are bound to. */
  #list(calls: readonly { callId: string; digest?: string | undefined }[] | undefined): void {
    for (const { callId, digest } of calls ?? []) if (digest !== undefined) this.#digests.set(callId, digest);
  }

  #bound(callId: string): { digest?: string } {
    const digest = this.#digests.get(callId);
    return digest === undefined ? {} : { digest };
  }

  #wait(pending: readonly ApprovalRequired[], lastEventId: string): void {
    this.#caughtUpAt = numberOf(lastEventId);
    this.#pending.clear();
    this.#list(pending);
    for (const call of pending) this.#pending.set(call.callId, call);
    for (const callId of this.#asked) if (!this.#pending.has(callId)) this.#asked.delete(callId);
  }

  /** Reads the log again from the last event on. */
  #catchUp(): void {
    if (this.#isBehind) return;
    this.#isBehind = true;
    // socket.io-client reports this disconnect as the client's own wish, which is no end of the session.
    this.#become({ kind: "lost", problem: "Events are missing; the log is read again." });
    this.#socket.disconnect();
    this.#socket.connect();
  }

  /** After "io server disconnect" socket.io-client does not come back by itself. */
  #disconnected(reason: string): void {
    if (reason === "io client disconnect") return;
    if (this.#refusal && !this.#refusal.retryable) {
      this.#become({ kind: "refused", refusal: this.#refusal });
      return;
    }
    this.#become({ kind: "lost", problem: this.#refusal?.message ?? "The connection broke." });
    if (reason !== "io server disconnect") return;
    const { retryDelay, retryDelayMax } = this.#timing;
    const pause = Math.min(retryDelay * 2 ** this.#returns, retryDelayMax);
    this.#returns += 1;
    this.#timer = setTimeout(() => this.#socket.connect(), pause * (0.75 + Math.random() / 2));
  }

  #become(state: State): void {
    if (this.#state.kind === "closed") return;
    this.#state = state;
    this.#states.tell(state);
  }
}

/** A name for a message, which no other has. */
function fresh(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
