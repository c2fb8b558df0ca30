import { expect, test } from "vitest";
import { deliver, type Post } from "../src/app/delivery.ts";
import type { Outbox } from "../src/app/outbox.ts";
import type { Answer } from "../src/contract.ts";

type Reply = Answer<"message"> | "silence" | "break";

/** A post whose server answers so, one after the other, and then accepts. */
function post(outbox: Outbox, replies: Reply[]) {
  let ready = true;
  const sent: string[] = [];
  const ground: Post = {
    outbox: () => outbox,
    post: (next) => (outbox = next),
    isReady: () => ready,
    send: ({ clientMessageId }) => {
      sent.push(clientMessageId);
      const reply = replies.shift() ?? { ok: true, turn: 1, duplicate: false };
      if (reply === "break") ready = false;
      return typeof reply === "string" ? Promise.reject(new Error(reply)) : Promise.resolve(reply);
    },
  };
  return { ground, sent, states: () => outbox.map(({ id, state }) => `${id} ${state}`) };
}

const waiting = (...ids: string[]): Outbox => ids.map((id) => ({ id, text: id, state: "waiting" }));
const busy: Reply = { ok: false, code: "busy", message: "Too much waits.", retryable: true };

test("an answer that is late on a connection that stands is asked for again, by the same name", async () => {
  const { ground, sent, states } = post(waiting("a", "b"), ["silence", busy]);
  await deliver(ground);
  expect(sent).toEqual(["a", "a", "b"]);
  expect(states()).toEqual(["a refused", "b accepted"]);
});

test("a message without any answer is left to its user, and does not go out later", async () => {
  const { ground, sent, states } = post(waiting("a", "b"), ["silence", "silence", "silence"]);
  await deliver(ground);
  expect(sent).toEqual(["a", "a", "a", "b"]);
  expect(states()).toEqual(["a refused", "b accepted"]);
});

test("what was stored by the first attempt is no second message", async () => {
  const { ground, states } = post(waiting("a"), ["silence", { ok: true, turn: 1, duplicate: true }]);
  await deliver(ground);
  expect(states()).toEqual([]);
});

test("what a break leaves without an answer waits for the next connection", async () => {
  const { ground, sent, states } = post(waiting("a", "b"), ["break"]);
  await deliver(ground);
  expect(sent).toEqual(["a"]);
  expect(states()).toEqual(["a waiting", "b waiting"]);
});
