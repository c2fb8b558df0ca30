// A session as the server says that it stands, where its log cannot be read from where this view had come to.

import type { HistoryMessage, Snapshot } from "../contract.ts";
import { append, ask, withCall } from "./calls.ts";
import { standingAt } from "./order.ts";
import { EMPTY, type Call, type Session } from "./state.ts";

/** The session that the snapshot describes. What no snapshot holds (usage, decisions) begins anew. */
export function restore(before: Session, snapshot: Snapshot): Session {
  const { ready, progress, clockAhead, servers, quarantined, tokenOver } = before;
  let session: Session = { ...EMPTY, ready, progress, clockAhead, servers, quarantined, tokenOver, fromSnapshot: true };
  session = snapshot.messages.reduce((state, message, index) => recall(state, message, `history-${index}`), session);
  for (const { waiting, ...call } of snapshot.calls) {
    session = withCall(session, { ...call, phase: waiting ? "queued" : "running" }, snapshot.turn);
  }
  for (const approval of snapshot.pending) session = ask(session, approval, snapshot.turn);
  const { turn, partial, thinking, lastEventId } = snapshot;
  if (partial !== "") {
    // Servers before this field do not say whose text it is.
    const { partialStep: step, partialAttempt: attempt = 0 } = snapshot;
    const answer = { kind: "answer", key: "partial", turn, step, attempt, reasoning: "" } as const;
    session = append(session, { ...answer, text: partial, open: true });
  }
  const openTurns = new Set(turn === undefined ? [] : [turn]);
  return { ...session, order: standingAt(lastEventId), openTurns, thinking, budget: snapshot.budget };
}

function recall(session: Session, message: HistoryMessage, key: string): Session {
  const { turn, at } = message;
  switch (message.role) {
    case "user": {
      const { text, attachments = [], clientMessageId } = message;
      return append(session, { kind: "user", key, turn, at, text, attachments, clientMessageId });
    }
    case "assistant": {
      const { text, reasoning = "", calls = [] } = message;
      const said = { kind: "answer", key, turn, step: undefined, attempt: 0, text, reasoning, open: false } as const;
      const spoken = text === "" && reasoning === "" ? session : append(session, said);
      return calls.reduce((state, call) => withCall(state, call, turn), spoken);
    }
    case "tool": {
      const calls = new Map(session.calls);
      for (const { callId, content, code } of message.results) {
        const call = calls.get(callId);
        if (call) calls.set(callId, resulted(call, content, code));
      }
      return { ...session, calls };
    }
  }
}

function resulted(call: Call, content: NonNullable<Call["output"]>, code: string | undefined): Call {
  if (code === undefined) return { ...call, phase: "succeeded", output: content };
  const texts = content.map((part) => ("text" in part && typeof part.text === "string" ? part.text : ""));
  const phase = code === "denied" || code === "cancelled" ? "refused" : "failed";
  return { ...call, phase, error: { message: texts.filter(Boolean).join("\n"), code } };
}
