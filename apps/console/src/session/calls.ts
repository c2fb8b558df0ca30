// The calls of a session, each with its place in the conversation.

import type { Approval } from "../contract.ts";
import type { Call, Item, Session } from "./state.ts";

/** With this at the end of the conversation. */
export function append(session: Session, item: Item): Session {
  return { ...session, items: [...session.items, item] };
}

/** With this call at the end of the conversation, or in its place where it stands there. */
export function withCall(
  session: Session,
  call: Omit<Call, "turn" | "phase"> & { readonly phase?: Call["phase"] },
  turn: number | undefined,
): Session {
  const isNew = !session.calls.has(call.callId);
  const calls = new Map(session.calls).set(call.callId, { phase: "queued", ...call, turn });
  const next = { ...session, calls };
  return isNew ? append(next, { kind: "call", key: call.callId, turn, callId: call.callId }) : next;
}

/** A call asks a human. */
export function ask(session: Session, approval: Approval, turn: number | undefined): Session {
  const { callId, name, server, args, argsText, queuePosition, totalInQueue, expiresAt, why, annotations } = approval;
  const { digest, fingerprint, alwaysRule, sessionScopes = [] } = approval;
  const known = session.calls.has(callId) ? session : withCall(session, { callId, name, server, args, argsText }, turn);
  const asked = { position: queuePosition, total: totalInQueue, expiresAt, why, annotations };
  const question = { ...asked, digest, fingerprint, alwaysRule, sessionScopes };
  // Asked again, it is not decided any more.
  return change(known, callId, ({ resolution: _before, ...call }) => ({
    ...call,
    args,
    argsText,
    phase: "asking",
    question,
  }));
}

/** With a call that is known changed; others change nothing. */
export function change(session: Session, callId: string | undefined, how: (call: Call) => Call): Session {
  const call = callId === undefined ? undefined : session.calls.get(callId);
  return call === undefined ? session : { ...session, calls: new Map(session.calls).set(call.callId, how(call)) };
}
