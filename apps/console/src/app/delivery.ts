// How what a user said reaches the server: once, in the order in which it was said, and never unasked.

import type { Answer, Refusal } from "../contract.ts";
import { afterBreak, marked, without, type Outbox } from "./outbox.ts";

/** What delivery needs. */
export interface Post {
  outbox(): Outbox;
  post(outbox: Outbox): void;
  /** Whether there is a connection whose session is ready. */
  isReady(): boolean;
  /** Fails where no answer comes in time, or the connection breaks first. */
  send(message: { text: string; clientMessageId: string }): Promise<Answer<"message">>;
}

/** How often a message is sent that gets no answer on a connection that stands. */
const ATTEMPTS = 3;

/** Sends what waits. */
export async function deliver({ outbox, post, isReady, send }: Post): Promise<void> {
  const silent = new Map<string, number>();
  while (isReady()) {
    const next = outbox().find((each) => each.state === "waiting");
    if (next === undefined) return;
    const { id, text } = next;
    post(marked(outbox(), id, "sent"));
    try {
      const answer = await send({ text, clientMessageId: id });
      if (!answer.ok) post(marked(outbox(), id, "refused", explained(answer)));
      else if (answer.duplicate) post(without(outbox(), new Set([id])));
      else post(marked(outbox(), id, "accepted"));
    } catch {
      if (!isReady()) {
        // It goes out again, by the same name, with the next connection.
        post(afterBreak(outbox()));
        return;
      }
      // The answer is late. The same name twice is one message, so that asking again is safe; left to wait, it would go
      // out at some later break, when nobody expects it.
      const attempts = (silent.get(id) ?? 0) + 1;
      silent.set(id, attempts);
      const isOnItsWay = outbox().some((each) => each.id === id && each.state === "sent");
      if (!isOnItsWay) continue;
      if (attempts < ATTEMPTS) post(marked(outbox(), id, "waiting"));
      else post(marked(outbox(), id, "refused", "No answer came. It may have arrived all the same."));
    }
  }
}

/** A refusal in words for people. */
export function explained(answer: Refusal): string {
  return answer.hint === undefined ? answer.message : `${answer.message} ${answer.hint}`;
}
