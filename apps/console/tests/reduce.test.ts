import { describe, expect, test } from "vitest";
import type { ServerEvent, Snapshot } from "../src/contract.ts";
import { hasGap, MAX_EARLY } from "../src/session/order.ts";
import { asking, EMPTY, isRunning, type Session } from "../src/session/state.ts";
import { approval, call, Log, NOW, play, turn, unlogged, USAGE } from "./events.ts";

/** The conversation in a few words. */
function told(session: Session): string[] {
  return session.items.map((item) => {
    switch (item.kind) {
      case "user":
        return `user: ${item.text}`;
      case "answer":
        return `agent: ${item.text}${item.open ? "…" : ""}`;
      case "call":
        return `call: ${session.calls.get(item.callId)?.phase}`;
      case "notice":
        return `notice: ${item.text}`;
      case "failure":
        return `failure: ${item.error.code}`;
      case "end":
        return `end: ${item.completed.stopReason}`;
    }
  });
}

const WHOLE = ["user: list files", "agent: I look.", "call: succeeded", "agent: There is a.txt.", "end: end_turn"];

test("a turn becomes a conversation", () => {
  const session = play(turn(new Log()).events);
  expect(told(session)).toEqual(WHOLE);
  expect(session.calls.get("call_1_0_0")).toMatchObject({
    phase: "succeeded",
    args: { command: "ls" },
    resolution: { decision: "approved", by: "alice" },
    output: [{ type: "text", text: "a.txt" }],
  });
  expect(session.items[1]).toMatchObject({ reasoning: "Hm. " });
  expect([session.usage, session.turns, session.toolCalls]).toEqual([USAGE, 1, 1]);
  expect(isRunning(session)).toBe(false);
});

describe("each event is applied once, in the order of its number", () => {
  const { events } = turn(turn(new Log()), 2);
  const expected = play(events);

  /** A generator of numbers that a seed decides. */
  function random(seed: number): (below: number) => number {
    let state = seed;
    return (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  test("also when all of it comes twice", () => {
    expect(play(events, play(events))).toEqual(expected);
    expect(play(events.flatMap((event) => [event, event]))).toEqual(expected);
  });

  test("also when it comes in any order, with repetitions", () => {
    for (let seed = 0; seed < 200; seed++) {
      const below = random(seed);
      const shuffled = [...events, ...events.slice(below(events.length))];
      for (let at = shuffled.length - 1; at > 0; at--) {
        const other = below(at + 1);
        [shuffled[at], shuffled[other]] = [shuffled[other]!, shuffled[at]!];
      }
      expect(play(shuffled), `seed ${seed}`).toEqual(expected);
    }
  });

  test("also over reconnects that replay from any place", () => {
    for (let cut = 0; cut < events.length; cut++) {
      const before = play(events.slice(0, cut));
      for (const from of [0, Math.max(0, cut - 3), cut]) {
        expect(play(events.slice(from), before)).toEqual(expected);
      }
    }
  });

  test("a gap is known, holds back what follows, and is filled", () => {
    const without = events.filter((_, index) => index !== 3);
    const held = play(without);
    expect(hasGap(held.order)).toBe(true);
    expect(held.order.lastId).toBe(events[2]?.meta.id);
    expect(told(held)).toEqual(["user: list files", "agent: I …"]);
    const filled = play([events[3]!], held);
    expect(hasGap(filled.order)).toBe(false);
    expect(filled).toEqual(expected);
  });

  test("what waits behind a gap is bounded", () => {
    const far = new Log(10);
    for (let n = 0; n < MAX_EARLY + 50; n++) far.add("agent:delta", { text: "x", step: 0, attempt: 0 });
    expect(play(far.events).order.early.size).toBe(MAX_EARLY);
  });

  test("a new epoch goes on with the numbers of the old one", () => {
    const old = new Log().add("user:message", { text: "hi" });
    const next = new Log(1, 2).add("agent:response", "hello");
    const session = play([...old.events, ...next.events]);
    expect(told(session)).toEqual(["user: hi", "agent: hello"]);
    expect(session.order.lastId).toBe("2-2");
  });
});

describe("answers", () => {
  const piece = (text: string, step: number, attempt: number) => ({ text, step, attempt });

  test("a higher attempt at a step replaces the text, a lower one changes nothing", () => {
    const log = new Log()
      .add("user:message", { text: "q" })
      .add("agent:delta", piece("half an ans", 0, 0))
      .add("system:message", "The turn goes on.")
      .add("agent:delta", piece("The ", 0, 1))
      .add("agent:delta", piece("stale", 0, 0))
      .add("agent:delta", piece("whole.", 0, 1));
    expect(told(play(log.events))).toEqual(["user: q", "agent: The whole.…", "notice: The turn goes on."]);
    log.add("agent:response", "The whole.");
    expect(told(play(log.events))).toEqual(["user: q", "agent: The whole.", "notice: The turn goes on."]);
  });

  test("after an error the answer is not told twice", () => {
    const error = { message: "cut", code: "provider_stream_cut", retryable: true } as const;
    const log = new Log()
      .add("agent:delta", piece("a", 0, 0))
      .add("agent:error", error)
      .add("agent:delta", piece("b", 0, 1))
      .add("agent:response", "b");
    expect(told(play(log.events))).toEqual(["agent: b", "failure: provider_stream_cut"]);
  });

  test("an answer without deltas is an answer", () => {
    expect(told(play(new Log().add("agent:response", "short").events))).toEqual(["agent: short"]);
    expect(told(play(new Log().add("agent:response", "").events))).toEqual([]);
  });

  test("thinking lasts until something is said or done", () => {
    const thinking = play([unlogged("agent:thinking", null)]);
    expect(thinking.thinking).toBe(true);
    for (const event of turn(new Log()).events.slice(1, 2))
      expect(play([event], play([unlogged("agent:thinking", null)])).thinking).toBe(true);
    const said = new Log().add("agent:delta", piece("a", 0, 0)).events;
    expect(play(said, thinking).thinking).toBe(false);
  });
});

describe("calls", () => {
  test("only what is asked is asked, and the first answer closes it", () => {
    const log = new Log()
      .add("tool:calls", [
        { ...call("a"), status: "waiting", why: "w" },
        { ...call("b"), status: "waiting", why: "w" },
        { ...call("c"), status: "refused", why: "a rule" },
      ])
      .add("tool:approval_required", { ...approval("a"), totalInQueue: 2 }, 1, "a");
    const asked = play(log.events);
    expect(asking(asked).map((each) => each.callId)).toEqual(["a"]);
    log
      .add(
        "tool:approval_resolved",
        { callId: "a", decision: "denied", by: "bob", scope: "once", reason: "no" },
        1,
        "a",
      )
      .add("tool:error", { callId: "a", name: "x", message: "denied: no", code: "denied" }, 1, "a")
      .add("tool:approval_required", { ...approval("b"), queuePosition: 2, totalInQueue: 2 }, 1, "b");
    const next = play(log.events);
    expect(asking(next).map((each) => each.callId)).toEqual(["b"]);
    expect(next.calls.get("a")).toMatchObject({
      phase: "refused",
      resolution: { reason: "no" },
      error: { code: "denied" },
    });
    expect(told(next)).toEqual(["call: refused", "call: asking", "call: refused"]);
  });

  test("edited arguments are kept beside the model's", () => {
    const log = new Log().add("tool:approval_required", approval("a", "rm x"), 1, "a").add("tool:approval_resolved", {
      callId: "a",
      decision: "approved",
      by: "bob",
      scope: "once",
      args: { command: "ls" },
    });
    expect(play(log.events).calls.get("a")).toMatchObject({
      args: { command: "rm x" },
      resolution: { args: { command: "ls" } },
    });
  });

  test("an output that is no JSON is a text, and one for an unknown call is none", () => {
    const log = new Log().add("tool:approval_required", approval("a"), 1, "a").add("tool:output", "plain", 1, "a");
    expect(play(log.events).calls.get("a")?.output).toEqual([{ type: "text", text: "plain" }]);
    expect(play(new Log().add("tool:output", "x", 1, "nobody").events).calls.size).toBe(0);
  });

  test("a turn that ends leaves nothing open", () => {
    const log = new Log()
      .add("user:message", { text: "q" })
      .add("agent:delta", { text: "a", step: 0, attempt: 0 })
      .add("tool:approval_required", approval("a"), 1, "a");
    const open = play(log.events);
    expect([isRunning(open), asking(open).length]).toEqual([true, 1]);
    log.add("turn:completed", { stopReason: "interrupted", usage: USAGE, toolCalls: 1, durationMs: 1 });
    const closed = play(log.events);
    expect([isRunning(closed), asking(closed).length]).toEqual([false, 0]);
    expect(told(closed)).toEqual(["user: q", "agent: a", "call: unsettled", "end: interrupted"]);
  });
});

describe("a snapshot", () => {
  const snapshot: Snapshot = {
    lastEventId: "3-40",
    messages: [
      { role: "user", turn: 1, at: "", text: "list" },
      { role: "assistant", turn: 1, at: "", text: "Look:", calls: [call("call_1_0_0"), call("call_1_0_1")] },
      {
        role: "tool",
        turn: 1,
        at: "",
        results: [
          { callId: "call_1_0_0", content: [{ type: "text", text: "a" }] },
          { callId: "call_1_0_1", content: [{ type: "text", text: "no" }], code: "denied" },
        ],
      },
      { role: "user", turn: 2, at: "", text: "more" },
    ],
    turn: 2,
    partial: "Here ",
    thinking: false,
    calls: [],
    pending: [],
  };
  const event: ServerEvent = unlogged("history:snapshot", snapshot);

  test("stands in for the log, whatever was known before", () => {
    const session = play([event], play(turn(new Log()).events));
    expect(told(session)).toEqual([
      "user: list",
      "agent: Look:",
      "call: succeeded",
      "call: refused",
      "user: more",
      "agent: Here …",
    ]);
    expect([session.order.lastId, session.fromSnapshot, isRunning(session)]).toEqual(["3-40", true, true]);
  });

  test("has a text that a higher attempt takes the place of, and a lower one does not touch", () => {
    const begun = unlogged("history:snapshot", { ...snapshot, partialStep: 1, partialAttempt: 0 });
    const log = new Log(40, 4)
      .add("agent:delta", { text: "Begun ", step: 1, attempt: 1 }, 2)
      .add("agent:delta", { text: "never", step: 1, attempt: 0 }, 2)
      .add("agent:delta", { text: "again.", step: 1, attempt: 1 }, 2);
    expect(told(play([begun, ...log.events])).at(-1)).toBe("agent: Begun again.…");
    const goesOn = new Log(40, 4).add("agent:delta", { text: "it is.", step: 1, attempt: 0 }, 2);
    expect(told(play([begun, ...goesOn.events])).at(-1)).toBe("agent: Here it is.…");
  });

  test("is gone on from, and the question that follows it is not asked twice", () => {
    const pending = {
      ...snapshot,
      partial: "",
      calls: [{ ...call("call_2_0_0"), waiting: true }],
      pending: [approval("call_2_0_0")],
    };
    const repeated = new Log(38, 3).add("tool:approval_required", approval("call_2_0_0"), 2, "call_2_0_0").events;
    const asked = play([unlogged("history:snapshot", pending), ...repeated]);
    expect(asking(asked).map((each) => each.callId)).toEqual(["call_2_0_0"]);
    const on = new Log(40, 3)
      .add("agent:delta", { text: "it is.", step: 1, attempt: 0 }, 2)
      .add("agent:response", "Here it is.", 2);
    expect(told(play([event, ...on.events])).slice(-2)).toEqual(["user: more", "agent: Here it is."]);
  });
});

test("ready says what the session has, and tells the clocks apart", () => {
  const ready = {
    sessionId: "s",
    containerId: "box",
    provider: "demo",
    model: "demo-1",
    tools: [],
    protocol: 1,
    lastEventId: "0-0",
    resumed: false,
    pending: [],
  };
  const event = unlogged("system:ready", ready);
  const late = { ...event, meta: { at: new Date(NOW - 5_000).toISOString() } } as ServerEvent;
  const expired = play(new Log().add("session:expired", { reason: "It was idle." }).events);
  expect(expired.expired).toBe("It was idle.");
  expect(play([late], expired)).toMatchObject({ clockAhead: 5_000, expired: undefined, ready: { containerId: "box" } });
  expect(EMPTY.ready).toBeUndefined();
});

test("a token that is over is told of until the connection has a fresh one", () => {
  const over = unlogged("auth:expired", {
    expiredAt: "2026-01-01T00:00:00.000Z",
    closesAt: "2026-01-01T00:00:15.000Z",
  });
  const session = play([over]);
  expect(session.tokenOver).toBe("2026-01-01T00:00:15.000Z");
});

test("a turn that costs more than there is asks until somebody answers or it ends", () => {
  const asked = { of: "day", measure: "tokens", taken: 9, limit: 10, expiresAt: "2026-01-01T00:05:00.000Z" } as const;
  const log = new Log().add("budget:asked", asked);
  expect(play(log.events).budget).toEqual(asked);
  expect(play(log.add("budget:answered", { goOn: true, by: "ann" }).events).budget).toBeUndefined();
});

test("an MCP server is up unless it is said not to be, and a new connection asks anew", () => {
  const down = { server: "web", state: "down", tools: 0, problem: "it ended", code: "tool_crashed" } as const;
  const session = play([unlogged("mcp:status", down)]);
  expect(session.servers.get("web")).toEqual(down);
  const up = play([unlogged("mcp:status", { server: "web", state: "up", tools: 2 })], session);
  expect(up.servers.get("web")?.state).toBe("up");
});

test("a tool that changed is held back until somebody trusts it", () => {
  const shape = { description: "Reads.", inputSchema: {}, annotations: {} };
  const held = { server: "web", name: "get", before: shape, after: { ...shape, description: "Reads all." } };
  const log = new Log().add("tool:quarantined", { ...held, changes: ["description"], fingerprint: "ab" });
  expect([...play(log.events).quarantined.values()].map((tool) => tool.name)).toEqual(["get"]);
  log.add("tool:trusted", { server: "web", name: "get", fingerprint: "ab", by: "ann" });
  const session = play(log.events);
  expect([session.quarantined.size, session.items.filter((item) => item.kind === "notice").length]).toEqual([0, 2]);
});
