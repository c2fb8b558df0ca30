import { expect, test } from "vitest";
import { announcement } from "../src/app/announce.ts";
import { MAX_FRAMES, recorded, type Frame } from "../src/app/frames.ts";
import { afterBreak, marked, restored, save, without, type Outbox } from "../src/app/outbox.ts";
import { approval, unlogged } from "./events.ts";

function storage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    clear: () => kept.clear(),
    key: () => null,
    length: 0,
  };
}

test("what has no answer when the connection breaks goes out again, and nothing else does", () => {
  const states = ["waiting", "sent", "accepted", "refused"] as const;
  const outbox: Outbox = states.map((state) => ({ id: state, text: state, state }));
  expect(afterBreak(outbox).map((each) => each.state)).toEqual(["waiting", "waiting", "accepted", "refused"]);
  expect(marked(outbox, "sent", "refused", "busy")[1]).toEqual({
    id: "sent",
    text: "sent",
    state: "refused",
    problem: "busy",
  });
  expect(without(outbox, new Set(["sent", undefined])).map((each) => each.id)).toEqual([
    "waiting",
    "accepted",
    "refused",
  ]);
  expect(without(outbox, new Set(["x"]))).toBe(outbox);
});

test("what is on its way survives a reload, under the same name", () => {
  const kept = storage();
  save(kept, "s", [{ id: "1", text: "a", state: "sent" }]);
  expect(restored(kept, "s")).toEqual([{ id: "1", text: "a", state: "waiting" }]);
  expect(restored(kept, "t")).toEqual([]);
  save(kept, "s", []);
  expect(restored(kept, "s")).toEqual([]);
  for (const odd of ["{", "7", '[null, 1, {"id": 1}]']) {
    kept.setItem("lockkeeper.outbox.s", odd);
    expect(restored(kept, "s"), odd).toEqual([]);
  }
});

test("frames are numbered, and the oldest make room", () => {
  let frames: readonly Frame[] = [];
  for (let n = 0; n < MAX_FRAMES + 10; n++) {
    frames = recorded(frames, { at: n, direction: "in", name: "x", payload: n, meta: undefined });
  }
  expect([frames.length, frames[0]?.number, frames.at(-1)?.number]).toEqual([MAX_FRAMES, 11, MAX_FRAMES + 10]);
});

test("a screen reader hears of questions and answers, and not of every piece", () => {
  const asked = unlogged("tool:approval_required", { ...approval("a"), name: "rm\u202e", totalInQueue: 3 });
  expect(announcement(asked)).toBe("rm[U+202E] of workspace waits for your approval, 1 of 3.");
  expect(announcement(unlogged("agent:response", "a".repeat(1_000)))?.length).toBeLessThan(500);
  expect(announcement(unlogged("agent:delta", { text: "a", step: 0, attempt: 0 }))).toBeUndefined();
});
