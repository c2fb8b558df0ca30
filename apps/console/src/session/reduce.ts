// The one place where events become state. Pure: the same events make the same state, whichever way they came.

import type { Content, Piece, Quarantine, ServerEvent, ToolCall, Usage } from "../contract.ts";
import { append, ask, change, withCall } from "./calls.ts";
import { admit } from "./order.ts";
import { restore } from "./snapshot.ts";
import { quarantineKey, type AnswerItem, type Call, type Item, type Session } from "./state.ts";

/** The session after `event`, which arrived at `now`, in milliseconds since 1970. */
export function reduce(session: Session, event: ServerEvent, now: number): Session {
  if (event.name === "history:snapshot") return restore(session, event.payload);
  const { order, due } = admit(session.order, event);
  const next = order === session.order ? session : { ...session, order };
  return due.reduce((state, each) => apply(state, each, now), next);
}

function apply(session: Session, event: ServerEvent, now: number): Session {
  const { turn } = event.meta;
  const key = event.meta.id ?? `${event.name}@${event.meta.at}`;
  switch (event.name) {
    case "system:ready":
      return {
        ...session,
        ready: event.payload,
        expired: undefined,
        // Those that are not up are told of after this.
        servers: new Map(),
        tokenOver: undefined,
        clockAhead: now - Date.parse(event.meta.at),
      };
    case "system:progress":
      return {
        ...session,
        expired: undefined,
        progress: new Map(session.progress).set(event.payload.stage, event.payload),
      };
    case "system:message":
      return append(session, { kind: "notice", key, turn, text: event.payload });
    case "user:message": {
      const { text, attachments = [], clientMessageId } = event.payload;
      const said = { kind: "user", key, turn, at: event.meta.at, text, attachments, clientMessageId } as const;
      return append(opened(session, turn), said);
    }
    case "agent:thinking":
      return { ...session, thinking: true };
    case "agent:delta":
    case "agent:reasoning":
      return hear({ ...session, thinking: false }, event.payload, turn, key, event.name === "agent:delta");
    case "agent:response":
      return respond({ ...session, thinking: false }, event.payload, turn, key);
    case "agent:error":
      return append({ ...session, thinking: false }, { kind: "failure", key, turn, error: event.payload });
    case "tool:calls":
      return propose({ ...session, thinking: false }, event.payload, turn);
    case "tool:approval_required":
      return ask({ ...session, thinking: false }, event.payload, turn);
    case "tool:approval_resolved": {
      const resolution = event.payload;
      const phase = resolution.decision === "approved" ? "allowed" : "refused";
      return change(session, resolution.callId, (call) => ({ ...call, phase, resolution }));
    }
    case "tool:started": {
      const { callId, name, server } = event.payload;
      const known = session.calls.has(callId) ? session : withCall(session, { callId, name, server, args: null }, turn);
      return change({ ...known, expired: undefined }, callId, (call) => ({ ...call, phase: "running" }));
    }
    case "tool:progress": {
      const { callId, ...progress } = event.payload;
      return change(session, callId, (call) => ({ ...call, progress }));
    }
    case "tool:output":
      return change(session, event.meta.callId, (call) => settled(call, { output: contentOf(event.payload) }));
    case "tool:error": {
      const { callId, message, code } = event.payload;
      return change(session, callId, (call) => settled(call, { error: { message, code } }));
    }
    case "turn:completed":
      return close(
        { ...session, budget: undefined },
        { kind: "end", key, turn, at: event.meta.at, completed: event.payload },
      );
    case "session:expired":
      return {
        ...append(session, { kind: "notice", key, turn, text: event.payload.reason }),
        expired: event.payload.reason,
      };
    case "budget:asked":
      return { ...session, thinking: false, budget: event.payload };
    case "budget:answered": {
      const text = event.payload.goOn
        ? "The turn goes on beyond its budget."
        : "The turn was not let go on beyond its budget.";
      return append({ ...session, budget: undefined }, { kind: "notice", key, turn, text });
    }
    case "auth:expired":
      return { ...session, tokenOver: event.payload.closesAt };
    case "tool:quarantined":
      return holdBack(session, event.payload, turn, key);
    case "tool:trusted": {
      const quarantined = new Map(session.quarantined);
      quarantined.delete(quarantineKey(event.payload));
      const { name, server, by } = event.payload;
      const text = `${name} of ${server} may be what it is now, says ${by}.`;
      return { ...append(session, { kind: "notice", key, turn, text }), quarantined };
    }
    case "mcp:status":
      return { ...session, servers: new Map(session.servers).set(event.payload.server, event.payload) };
    case "history:snapshot":
    case "error":
      return session;
  }
}

/** A tool is not what it was. */
function holdBack(session: Session, tool: Quarantine, turn: number | undefined, key: string): Session {
  const quarantined = new Map(session.quarantined).set(quarantineKey(tool), tool);
  const text = `${tool.name} of ${tool.server} is not what it was, and is held back. The panel of tools shows what changed.`;
  return { ...append(session, { kind: "notice", key, turn, text }), quarantined };
}

function opened(session: Session, turn: number | undefined): Session {
  return turn === undefined ? session : { ...session, openTurns: new Set(session.openTurns).add(turn) };
}

/** A piece of an answer: it goes on with the text of its step, replaces that of a lower attempt, or begins one. */
function hear(session: Session, piece: Piece, turn: number | undefined, key: string, spoken: boolean): Session {
  const at = session.items.findLastIndex(
    (item) =>
      item.kind === "answer" &&
      item.turn === turn &&
      (item.step === piece.step || (item.step === undefined && item.open)),
  );
  const found = session.items[at];
  if (found?.kind !== "answer") {
    const begun = { kind: "answer", key, turn, step: piece.step, attempt: piece.attempt, open: true } as const;
    return append(session, { ...begun, text: spoken ? piece.text : "", reasoning: spoken ? "" : piece.text });
  }
  const isKnown = found.step !== undefined;
  if (isKnown && piece.attempt < found.attempt) return session;
  const anew = isKnown && piece.attempt > found.attempt;
  const [text, reasoning] = anew ? ["", ""] : [found.text, found.reasoning];
  const heard: AnswerItem = {
    ...found,
    step: piece.step,
    attempt: piece.attempt,
    text: spoken ? text + piece.text : text,
    reasoning: spoken ? reasoning : reasoning + piece.text,
  };
  return { ...session, items: session.items.with(at, heard) };
}

/** The whole answer: it takes the place of what was heard of the turn's last step. */
function respond(session: Session, text: string, turn: number | undefined, key: string): Session {
  const at = session.items.findLastIndex((item) => item.kind === "answer" && item.turn === turn && item.open);
  const found = session.items[at];
  if (found?.kind === "answer") {
    return { ...session, items: session.items.with(at, { ...found, text, open: false }) };
  }
  if (text === "") return session;
  return append(session, { kind: "answer", key, turn, step: undefined, attempt: 0, text, reasoning: "", open: false });
}

function propose(session: Session, calls: readonly ToolCall[], turn: number | undefined): Session {
  const phases = { waiting: "queued", allowed: "allowed", refused: "refused" } as const;
  let next: Session = { ...session, items: closed(session.items, turn) };
  for (const { status, ...call } of calls) next = withCall(next, { ...call, phase: phases[status] }, turn);
  return next;
}

/** With the answers of this turn said to their end. */
function closed(items: readonly Item[], turn: number | undefined): Item[] {
  return items.map((item) =>
    item.kind === "answer" && item.turn === turn && item.open ? { ...item, open: false } : item,
  );
}

function settled(call: Call, result: Pick<Call, "output" | "error">): Call {
  const phase = result.error === undefined ? "succeeded" : call.phase === "refused" ? "refused" : "failed";
  return { ...call, phase, ...result };
}

/** A result's content as it is written: a JSON array of MCP's parts, or else a text. */
function contentOf(written: string): Content[] {
  try {
    const parsed: unknown = JSON.parse(written);
    if (Array.isArray(parsed)) return parsed as Content[];
  } catch {
    // Then it is a text.
  }
  return [{ type: "text", text: written }];
}

/** The turn is over: nothing of it is open any more. */
function close(session: Session, end: Extract<Item, { kind: "end" }>): Session {
  const openTurns = new Set(session.openTurns);
  if (end.turn !== undefined) openTurns.delete(end.turn);
  const calls = new Map(session.calls);
  for (const call of session.calls.values()) {
    const isOpen = call.phase === "queued" || call.phase === "asking" || call.phase === "running";
    if (call.turn === end.turn && isOpen) calls.set(call.callId, { ...call, phase: "unsettled" });
  }
  return {
    ...session,
    openTurns,
    calls,
    items: [...closed(session.items, end.turn), end],
    thinking: false,
    usage: sum(session.usage, end.completed.usage),
    turns: session.turns + 1,
    toolCalls: session.toolCalls + end.completed.toolCalls,
  };
}

function sum(a: Usage, b: Usage): Usage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    reasoningTokens: a.reasoningTokens + b.reasoningTokens,
  };
}
