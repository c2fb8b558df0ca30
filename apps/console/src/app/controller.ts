// What the user does and what the server says, brought together in one state.

import type { Answer, Answers, GrantScope, Scope, ServerEvent } from "../contract.ts";
import { hasGap, numberOf } from "../session/order.ts";
import { reduce } from "../session/reduce.ts";
import { EMPTY, type Session } from "../session/state.ts";
import type { Connection, Identity, Listener } from "../transport/connection.ts";
import { keepToken, nameSession, sessionInAddress, token } from "../transport/credentials.ts";
import { readiness, type Readiness } from "../transport/readiness.ts";
import { deleteSession, endSession, listSessions } from "../transport/sessions.ts";
import { announcement } from "./announce.ts";
import { deliver, explained } from "./delivery.ts";
import { recorded, type Frame } from "./frames.ts";
import { afterBreak, marked, restored, save, without, type Outbox } from "./outbox.ts";
import { Store } from "./store.ts";

/** How the connection stands. */
export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "starting" }
  | { readonly kind: "ready" }
  | { readonly kind: "lost"; readonly problem: string }
  | {
      readonly kind: "refused";
      readonly reason: string;
      readonly code: string | undefined;
      /** Whether it is asked for again by itself. */
      readonly returns: boolean;
    };

/** A user's answer to a call that has not taken effect. */
export interface Deciding {
  readonly state: "sending" | "failed";
  readonly problem?: string;
}

export interface AppState {
  readonly sessionId: string | undefined;
  readonly session: Session;
  readonly link: Link;
  readonly readiness: Readiness | undefined;
  readonly outbox: Outbox;
  readonly deciding: ReadonlyMap<string, Deciding>;
  readonly frames: readonly Frame[];
  /** What went wrong with something that the user asked for. */
  readonly problem: string | undefined;
  readonly announced: string;
}

export interface Verdict {
  readonly approved: boolean;
  readonly scope?: Scope;
  /** Which calls an approval for the session covers: one of the question's scopes. */
  readonly grant?: GrantScope;
  /** Arguments that shall run instead, as JSON text: all digits of its numbers arrive. */
  readonly argsText?: string;
  readonly reason?: string;
}

const HEALTH_PERIOD_MS = 30_000;

export class Controller {
  readonly store: Store<AppState>;
  #connection: Connection | undefined;
  /** What the connection is, or will be, for. */
  #wanted: Identity | undefined;
  /** What is numbered higher happens now; the rest is told again. */
  #liveFrom = Number.POSITIVE_INFINITY;

  constructor() {
    this.store = new Store<AppState>({
      sessionId: undefined,
      session: EMPTY,
      link: { kind: "connecting" },
      readiness: undefined,
      outbox: [],
      deciding: new Map(),
      frames: [],
      problem: undefined,
      announced: "",
    });
    this.open(sessionInAddress(window));
    window.addEventListener("hashchange", () => {
      const id = sessionInAddress(window);
      if (id !== undefined && id !== this.#state.sessionId) this.open(id);
    });
    setInterval(() => !document.hidden && void this.#look(), HEALTH_PERIOD_MS);
  }

  get #state(): AppState {
    return this.store.value;
  }

  /** Goes to this session, or to a new one. */
  open(id: string | undefined): void {
    this.#connection?.close();
    this.#connection = undefined;
    nameSession(window, id);
    this.#set({
      sessionId: id,
      session: EMPTY,
      link: { kind: "connecting" },
      outbox: id === undefined ? [] : restored(sessionStorage, id),
      deciding: new Map(),
      problem: undefined,
    });
    this.#liveFrom = Number.POSITIVE_INFINITY;
    const identity = {
      session: id,
      token: () => token(window),
      // From the log's beginning where nothing is known yet, so that a reload shows all of it.
      lastEventId: () => this.#state.session.order.lastId ?? "0-0",
    };
    void this.#connect(identity);
  }

  /** The page is drawn before the code is there that connects it. */
  async #connect(identity: Identity): Promise<void> {
    this.#wanted = identity;
    try {
      const { Connection } = await import("../transport/connection.ts");
      // Another session may have been opened meanwhile.
      if (this.#wanted === identity) this.#connection = new Connection(identity, this.#listener());
    } catch {
      this.#set({ link: { kind: "lost", problem: "A part of the console could not be loaded." } });
    }
  }

  useToken(value: string): void {
    keepToken(window, value);
    this.open(this.#state.sessionId);
  }

  /** Hands over a fresh token on the connection that stands, so that nothing is interrupted. */
  async refreshToken(value: string): Promise<void> {
    keepToken(window, value);
    if (!(await this.#command("auth:refresh", { token: value.trim() }))) return;
    const { session } = this.#state;
    this.#set({ session: { ...session, tokenOver: undefined } });
  }

  retry(): void {
    this.#set({ link: { kind: "connecting" } });
    if (this.#connection) this.#connection.retry();
    else if (this.#wanted) void this.#connect(this.#wanted);
  }

  /** Says this, now or as soon as there is a connection. */
  say(text: string): void {
    const id = crypto.randomUUID();
    this.#post([...this.#state.outbox, { id, text, state: "waiting" }]);
    void this.#deliver();
  }

  /** Sends a refused message once more, or gives it up. */
  resend(id: string): void {
    this.#post(marked(this.#state.outbox, id, "waiting"));
    void this.#deliver();
  }

  discard(id: string): void {
    this.#post(without(this.#state.outbox, new Set([id])));
  }

  /** Answers for a call. Whether it took effect, the log says. */
  async decide(callId: string, verdict: Verdict): Promise<void> {
    const tell = (deciding: Deciding | undefined): void => {
      const map = new Map(this.#state.deciding);
      if (deciding) map.set(callId, deciding);
      else map.delete(callId);
      this.#set({ deciding: map });
    };
    tell({ state: "sending" });
    try {
      // What a human saw is what the answer is for: the question's digest goes back with it.
      const digest = this.#state.session.calls.get(callId)?.question?.digest;
      const answer = await this.#send("tool:approval", { callId, ...verdict, ...(digest && { digest }) });
      tell(answer.ok ? undefined : { state: "failed", problem: explained(answer) });
    } catch {
      tell({ state: "failed", problem: "No answer came. If it arrived, this card will close by itself." });
    }
  }

  stop(): Promise<boolean> {
    return this.#command("turn:cancel");
  }

  /** Says whether a turn that costs more than there is goes on. */
  answerBudget(goOn: boolean, question?: string): Promise<boolean> {
    return this.#command("budget:answer", { goOn, question });
  }

  clearHistory(): Promise<boolean> {
    return this.#command("history:reset");
  }

  async endSession(): Promise<void> {
    if (!(await this.#command("session:end"))) return;
    const { session } = this.#state;
    this.#set({ session: { ...session, expired: "You removed it." } });
  }

  /** The user's sessions, whether one is open or not. */
  sessions(): Promise<Answers["session:list"]> {
    return this.#state.link.kind === "ready" ? this.ask("session:list", {}) : listSessions(token(window));
  }

  /** Ends any session of the user's: its sandbox goes, its history stays. */
  async endOther(id: string): Promise<void> {
    await endSession(id, token(window));
    if (this.#state.link.kind === "refused") this.retry();
  }

  /** Deletes a session with all that was said in it; whoever looks at it goes to a new one. */
  async deleteSession(id: string): Promise<void> {
    if (this.#state.link.kind === "ready") await this.ask("session:delete", { sessionId: id });
    else await deleteSession(id, token(window));
    if (id === this.#state.sessionId) this.open(undefined);
    else if (this.#state.link.kind === "refused") this.retry();
  }

  clearFrames(): void {
    this.#set({ frames: [] });
  }

  dismissProblem(): void {
    this.#set({ problem: undefined });
  }

  #listener(): Listener {
    return {
      event: (event) => this.#take(event),
      connected: () => this.#set({ link: { kind: "starting" } }),
      lost: (problem) => {
        this.#broke();
        const announced = this.#state.link.kind === "ready" ? "The connection is lost." : this.#state.announced;
        this.#set({ link: { kind: "lost", problem }, announced });
        void this.#look();
      },
      refused: (reason, code, returns) => {
        this.#broke();
        this.#set({ link: { kind: "refused", reason, code, returns }, announced: `The server refused: ${reason}` });
        void this.#look();
      },
      // A token is shown to nobody, not even in the frames.
      sent: (name, payload) => this.#record("out", name, name === "auth:refresh" ? { token: "…" } : payload),
      answered: (name, answer) => this.#record("ack", name, answer),
    };
  }

  #take(event: ServerEvent): void {
    this.store.change((state) => ({
      ...state,
      session: reduce(state.session, event, Date.now()),
      frames: recorded(state.frames, { at: Date.now(), direction: "in", ...event }),
    }));
    if (event.name === "system:ready") this.#ready(event.payload.sessionId, event.payload.lastEventId);
    if (event.name === "history:snapshot") this.#liveFrom = numberOf(event.payload.lastEventId);
    if (event.name === "user:message" || event.name === "history:snapshot") this.#settleOutbox();
    if (event.name === "tool:approval_resolved") this.#forgetDecision(event.payload.callId);
    const { id } = event.meta;
    if (id !== undefined && numberOf(id) > this.#liveFrom) {
      const announced = announcement(event);
      if (announced !== undefined) this.#set({ announced });
    }
    if (hasGap(this.#state.session.order)) this.#connection?.resync();
  }

  #ready(id: string, last: string): void {
    this.#liveFrom = numberOf(last);
    this.#connection?.named(id);
    nameSession(window, id);
    this.#set({
      sessionId: id,
      link: { kind: "ready" },
      readiness: { kind: "ready" },
      announced: "Connected.",
    });
    this.#post(this.#state.outbox);
    void this.#deliver();
  }

  #broke(): void {
    this.#liveFrom = Number.POSITIVE_INFINITY;
    this.#post(afterBreak(this.#state.outbox));
  }

  /** Sends what waits, in the order in which it was said. */
  async #deliver(): Promise<void> {
    await deliver({
      outbox: () => this.#state.outbox,
      post: (outbox) => this.#post(outbox),
      isReady: () => this.#state.link.kind === "ready",
      send: (message) => this.#send("message", message),
    });
  }

  /** What stands in the log is on its way no more. */
  #settleOutbox(): void {
    const { session, outbox } = this.#state;
    if (outbox.length === 0) return;
    const ids = session.items.map((item) => (item.kind === "user" ? item.clientMessageId : undefined));
    this.#post(without(outbox, new Set(ids)));
  }

  #forgetDecision(callId: string): void {
    if (!this.#state.deciding.has(callId)) return;
    const deciding = new Map(this.#state.deciding);
    deciding.delete(callId);
    this.#set({ deciding });
  }

  #post(outbox: Outbox): void {
    this.#set({ outbox });
    if (this.#state.sessionId !== undefined) save(sessionStorage, this.#state.sessionId, outbox);
  }

  /** Whether it was followed; else it is said why not. */
  async #command(name: string, payload?: unknown): Promise<boolean> {
    this.#set({ problem: undefined });
    try {
      const answer = await this.#send(name, payload);
      if (!answer.ok) this.#set({ problem: explained(answer) });
      return answer.ok;
    } catch (error) {
      this.#set({ problem: error instanceof Error ? error.message : "No answer came." });
      return false;
    }
  }

  #send<Name extends string>(name: Name, payload?: unknown): Promise<Answer<Name>> {
    return this.#connection?.send(name, payload) ?? Promise.reject(new Error("There is no connection at the moment."));
  }

  /** Asks for something that only the view that asks needs to know. It fails with words for people. */
  async ask<Name extends keyof Answers>(name: Name, payload?: unknown): Promise<Answers[Name]> {
    const answer = (await this.#send(name, payload)) as Answer;
    if (!answer.ok) throw new Error(explained(answer));
    return answer as unknown as Answers[Name];
  }

  #record(direction: "out" | "ack", name: string, payload: unknown): void {
    const frame = { at: Date.now(), direction, name, payload, meta: undefined };
    this.store.change((state) => ({ ...state, frames: recorded(state.frames, frame) }));
  }

  async #look(): Promise<void> {
    this.#set({ readiness: await readiness() });
  }

  #set(change: Partial<AppState>): void {
    this.store.change((state) => ({ ...state, ...change }));
  }
}
