// Events as the server sends them, for tests.

import type { Approval, ServerEvent, ServerEvents } from "../src/contract.ts";
import { reduce } from "../src/session/reduce.ts";
import { EMPTY, type Session } from "../src/session/state.ts";

export const AT = "2026-01-01T00:00:00.000Z";
export const NOW = Date.parse(AT);

type Payloads = ServerEvents;

/** A log under way: each event gets the next number. */
export class Log {
  readonly events: ServerEvent[] = [];
  constructor(
    private number = 0,
    private readonly epoch = 1,
  ) {}

  add<Name extends keyof Payloads>(name: Name, payload: Payloads[Name], turn = 1, callId?: string): this {
    this.number += 1;
    const meta = { id: `${this.epoch}-${this.number}`, turn, at: AT, ...(callId === undefined ? {} : { callId }) };
    this.events.push({ name, payload, meta } as ServerEvent);
    return this;
  }

  get lastId(): string {
    return `${this.epoch}-${this.number}`;
  }
}

export function unlogged<Name extends keyof Payloads>(name: Name, payload: Payloads[Name], turn = 1): ServerEvent {
  return { name, payload, meta: { turn, at: AT } } as ServerEvent;
}

export function play(events: readonly ServerEvent[], from: Session = EMPTY): Session {
  return events.reduce((session, event) => reduce(session, event, NOW), from);
}

export function call(callId: string, command = "ls") {
  const args = { command };
  return { callId, name: "execute_command", server: "workspace", args, argsText: JSON.stringify(args) };
}

export function approval(callId: string, command = "ls"): Approval {
  const rest = { queuePosition: 1, totalInQueue: 1, expiresAt: AT, why: "no rule covers it", annotations: {} };
  return { ...call(callId, command), ...rest };
}

export const USAGE = { inputTokens: 5, outputTokens: 7, cachedInputTokens: 1, reasoningTokens: 2 };

/** A whole turn: a message, text, one call that was approved, its output, an answer. */
export function turn(log: Log, number = 1): Log {
  const id = `call_${number}_0_0`;
  return log
    .add("user:message", { text: "list files", clientMessageId: `m${number}` }, number)
    .add("agent:reasoning", { text: "Hm. ", step: 0, attempt: 0 }, number)
    .add("agent:delta", { text: "I ", step: 0, attempt: 0 }, number)
    .add("agent:delta", { text: "look.", step: 0, attempt: 0 }, number)
    .add("tool:calls", [{ ...call(id), status: "waiting", why: "no rule covers it" }], number)
    .add("tool:approval_required", approval(id), number, id)
    .add("tool:approval_resolved", { callId: id, decision: "approved", by: "alice", scope: "once" }, number, id)
    .add("tool:started", { callId: id, name: "execute_command", server: "workspace" }, number, id)
    .add("tool:output", '[{"type":"text","text":"a.txt"}]', number, id)
    .add("agent:delta", { text: "There ", step: 1, attempt: 0 }, number)
    .add("agent:delta", { text: "is a.txt.", step: 1, attempt: 0 }, number)
    .add("agent:response", "There is a.txt.", number)
    .add("turn:completed", { stopReason: "end_turn", usage: USAGE, toolCalls: 1, durationMs: 10 }, number);
}
