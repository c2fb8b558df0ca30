import { expect, test } from "vitest";
import { difference, finalArgs, previousCall } from "../src/session/difference.ts";
import { EMPTY, type Call, type Session } from "../src/session/state.ts";

function call(callId: string, args: Call["args"], name = "write_file"): Call {
  return { callId, turn: 1, name, server: "workspace", args, phase: "succeeded" };
}

function shown(before: Call["args"], now: Call["args"]): string[] {
  return difference(JSON.stringify(before), JSON.stringify(now)).map((change) =>
    change.kind === "same"
      ? `${change.name} same`
      : `${change.name} ${change.kind}: ${change.lines.map((line) => line.sign + line.text).join("|")}`,
  );
}

test("the same tool's last call before this one is compared with", () => {
  const calls = [call("a", {}), call("b", {}, "read_file"), call("c", {}), call("d", {})];
  const session: Session = { ...EMPTY, calls: new Map(calls.map((each) => [each.callId, each])) };
  expect(previousCall(session, call("d", {}))?.callId).toBe("c");
  expect(previousCall(session, call("a", {}))).toBeUndefined();
  expect(previousCall(session, call("b", {}, "read_file"))).toBeUndefined();
});

test("what a human wrote instead counts", () => {
  const resolution = { callId: "a", decision: "approved", by: "ann", scope: "once", args: { path: "b" } } as const;
  expect(finalArgs({ ...call("a", { path: "a" }), resolution })).toBe('{"path":"b"}');
});

test("each argument is the same, new, gone or changed, line by line", () => {
  const before = { path: "a.txt", content: "one\ntwo\nthree", mode: 7 };
  const now = { path: "a.txt", content: "one\n2\nthree\nfour", force: true };
  expect(shown(before, now)).toEqual([
    "path same",
    "content changed:  one|-two|+2| three|+four",
    "force new: +true",
    "mode gone: -7",
  ]);
  expect(shown({}, {})).toEqual([]);
  expect(shown([1], "x")).toEqual([" changed: -[|-  1|-]|+x"]);
});

test("a line break at the end is told of only where one of the two lacks it", () => {
  expect(shown({ a: "x\n" }, { a: "y\n" })).toEqual(["a changed: -x|+y"]);
  expect(shown({ a: "x\n" }, { a: "x" })).toEqual(["a changed:  x|-(a line break at the end)"]);
});

test("lines far from a difference are left out, and long texts follow each other", () => {
  const many = Array.from({ length: 50 }, (_, n) => `line ${n}`);
  const changed = many.with(25, "other");
  const [change] = difference(JSON.stringify({ a: many.join("\n") }), JSON.stringify({ a: changed.join("\n") }));
  expect(change?.kind === "changed" && change.lines.length).toBe(7);
  const huge = Array.from({ length: 1_000 }, (_, n) => `${n}`).join("\n");
  const [whole] = difference(JSON.stringify({ a: huge }), JSON.stringify({ a: `${huge}!` }));
  expect(whole?.kind === "changed" && whole.lines.length).toBe(2_000);
});
