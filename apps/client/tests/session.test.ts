import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ApprovalRequired, HistorySnapshot } from "../src/events.ts";
import { Refusal, Unanswered } from "../src/failures.ts";
import { session, settle } from "./fake.ts";

const CALL = { callId: "call_1_0_0", name: "ls", server: "workspace", args: {} } as unknown as ApprovalRequired;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("events", () => {
  test("come once and in order, however often the server and the socket hand them out", () => {
    const { session: one, socket } = session();
    const heard: string[] = [];
    one.on("agent:delta", ({ text }, { id }) => heard.push(`${id} ${text}`));
    socket.open();
    const piece = (seq: number) => socket.event("agent:delta", { text: "a", step: 0, attempt: 0 }, { id: `1-${seq}` });
    piece(1);
    piece(2);
    piece(2);
    piece(1);
    piece(3);
    expect(heard).toEqual(["1-1 a", "1-2 a", "1-3 a"]);
    expect(one.lastEventId).toBe("1-3");
  });

  test("beyond a gap are asked for again, from the last one on", () => {
    const { session: one, socket, resumesFrom } = session();
    const heard: string[] = [];
    one.on("system:message", (text) => heard.push(text));
    socket.open();
    socket.event("system:message", "first", { id: "1-1" });
    socket.event("system:message", "third", { id: "1-3" });
    expect([heard, resumesFrom(), socket.connects]).toEqual([["first"], "1-1", 1]);
    socket.open({ resumed: true });
    socket.event("system:message", "second", { id: "1-2" });
    socket.event("system:message", "third", { id: "1-3" });
    expect(heard).toEqual(["first", "second", "third"]);
    expect(one.state.kind).toBe("ready");
  });

  test("of a new session are read from its beginning, also by the second connection", () => {
    const { socket, resumesFrom } = session();
    expect(resumesFrom()).toBeUndefined();
    socket.open();
    socket.drop("transport close");
    expect(resumesFrom()).toBe("0-0");
  });

  test("that a snapshot stands for are not handed on", () => {
    const { session: one, socket, resumesFrom } = session();
    const heard: string[] = [];
    one.onEvent(({ name }) => heard.push(name));
    socket.open({ resumed: true });
    socket.event("history:snapshot", { lastEventId: "2-9", pending: [CALL] } as unknown as HistorySnapshot);
    socket.event("tool:approval_required", CALL, { id: "2-7" });
    socket.event("system:message", "on", { id: "2-10" });
    expect(heard).toEqual(["system:ready", "history:snapshot", "tool:approval_required", "system:message"]);
    expect([...one.pending.keys(), resumesFrom()]).toEqual(["call_1_0_0", "2-10"]);
  });

  test("that this client does not know are passed over", () => {
    const { session: one, socket } = session();
    const heard: string[] = [];
    one.onEvent(({ name }) => heard.push(name));
    socket.open();
    socket.unknown("tool:weather", {}, { id: "1-1", at: "" });
    socket.unknown("agent:delta");
    socket.unknown("agent:delta", { text: "a" }, "no meta");
    expect(heard).toEqual(["system:ready"]);
  });

  test("reach every listener, also when one of them throws, until it has enough", async () => {
    const { session: one, socket } = session();
    const uncaught = vi.fn();
    process.once("uncaughtException", uncaught);
    const heard: string[] = [];
    one.on("system:message", () => {
      throw new Error("mine");
    });
    const stop = one.on("system:message", (text) => heard.push(text));
    socket.open();
    const listeners = process.listeners("uncaughtException").filter((listener) => listener !== uncaught);
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", uncaught);
    socket.event("system:message", "one", { id: "1-1" });
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve));
    for (const listener of listeners) process.on("uncaughtException", listener);
    stop();
    expect(heard).toEqual(["one"]);
    expect(uncaught).toHaveBeenCalledOnce();
  });
});

describe("a message", () => {
  test("is sent again after a gap, without keeping timers from running", async () => {
    const { session: one, socket } = session({ retryDelay: 10 });
    socket.open();
    socket.event("system:message", "first", { id: "1-1" });
    socket.event("system:message", "third", { id: "1-3" });
    expect(one.state.kind).toBe("lost");
    const said = one.say("hello");
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 1);
    await vi.advanceTimersByTimeAsync(20);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
    socket.open({ resumed: true });
    await vi.advanceTimersByTimeAsync(20);
    socket.sent.at(-1)?.answer({ ok: true, turn: 1 });
    await expect(said).resolves.toMatchObject({ turn: 1 });
  });
});

describe("calls that wait", () => {
  test("are those that were asked about and not decided", () => {
    const { session: one, socket } = session();
    socket.open({ pending: [CALL] });
    expect([...one.pending.keys()]).toEqual(["call_1_0_0"]);
    socket.event("tool:approval_required", { ...CALL, callId: "call_1_0_1" }, { id: "1-1" });
    const resolved = { callId: "call_1_0_0", decision: "approved", by: "alice", scope: "once" } as const;
    socket.event("tool:approval_resolved", resolved as never, { id: "1-2" });
    expect([...one.pending.keys()]).toEqual(["call_1_0_1"]);
  });

  test("are heard of once, whether the log, a snapshot, or the ready event tells of them", () => {
    const ways: ((socket: ReturnType<typeof session>["socket"]) => void)[] = [
      (socket) => {
        socket.open({ resumed: true, pending: [CALL], lastEventId: "2-9" });
        socket.event("history:snapshot", { lastEventId: "2-9", pending: [CALL] } as unknown as HistorySnapshot);
        socket.event("tool:approval_required", CALL, { id: "2-7" });
        socket.event("tool:approval_required", CALL);
      },
      (socket) => {
        socket.open({ pending: [CALL], lastEventId: "0-0" });
        socket.event("tool:approval_required", CALL, { id: "1-1" });
      },
      (socket) => {
        socket.open({ pending: [CALL], lastEventId: "1-2" });
        socket.event("system:message", "first", { id: "1-1" });
        socket.event("tool:approval_required", CALL, { id: "1-2" });
        socket.drop("transport close");
        socket.open({ resumed: true, pending: [CALL], lastEventId: "1-2" });
      },
    ];
    for (const way of ways) {
      const { session: one, socket } = session();
      const heard: string[] = [];
      one.on("tool:approval_required", ({ callId }) => heard.push(callId));
      way(socket);
      expect(heard).toEqual(["call_1_0_0"]);
    }
  });

  test("are heard of where the session resumes from an event after them", () => {
    const { session: one, socket } = session({}, "1-5");
    const heard: string[] = [];
    one.on("tool:approval_required", ({ callId }) => heard.push(callId));
    socket.open({ resumed: true, pending: [CALL], lastEventId: "1-6" });
    expect(heard).toEqual([]);
    socket.event("system:message", "on", { id: "1-6" });
    expect(heard).toEqual(["call_1_0_0"]);
  });

  test("are answered with what the server wants to know, and nothing else", async () => {
    const { session: one, socket } = session();
    socket.open();
    const listed = { callId: "e", digest: "d-e", name: "t", server: null, args: {}, argsText: "{}", status: "waiting" };
    socket.event("tool:calls", [{ ...listed, why: "" }] as never, { id: "1-1" });
    socket.event("tool:approval_required", { ...CALL, callId: "f", digest: "d-f" }, { id: "1-2" });
    const answers = [
      one.approve("e"),
      one.deny("f"),
      one.approve("a"),
      one.approve("b", { scope: "session", args: { path: "x" } }),
      one.deny("c", "not now"),
      one.deny("d"),
    ];
    expect(socket.sent.map(({ name, args }) => [name, ...args])).toEqual([
      ["tool:approval", { callId: "e", approved: true, digest: "d-e" }],
      ["tool:approval", { callId: "f", approved: false, digest: "d-f" }],
      ["tool:approval", { callId: "a", approved: true }],
      ["tool:approval", { callId: "b", approved: true, scope: "session", args: { path: "x" } }],
      ["tool:approval", { callId: "c", approved: false, reason: "not now" }],
      ["tool:approval", { callId: "d", approved: false }],
    ]);
    for (const sent of socket.sent) sent.answer({ ok: true });
    await expect(Promise.all(answers)).resolves.toBeDefined();
  });
});

describe("commands", () => {
  test("that are refused fail with the server's reason", async () => {
    const { session: one, socket } = session();
    socket.open();
    const answer = one.approve("call_1_0_0");
    socket.sent[0]?.answer({
      ok: false,
      code: "already_resolved",
      message: "It was decided.",
      retryable: false,
      hint: "Look.",
    });
    const refusal: unknown = await answer.catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({
      code: "already_resolved",
      message: "It was decided.",
      retryable: false,
      hint: "Look.",
    });
  });

  test("without a connection, or without an answer, fail as unanswered", async () => {
    const { session: one, socket } = session();
    await expect(one.cancel()).rejects.toBeInstanceOf(Unanswered);
    expect(socket.sent).toEqual([]);
    socket.open();
    const answer = one.cancel();
    socket.drop("transport close");
    await expect(answer).rejects.toBeInstanceOf(Unanswered);
  });

  test("have no argument where they have no payload", async () => {
    const { session: one, socket } = session();
    socket.open();
    const answers = [one.cancel(), one.reset(), one.end()];
    for (const sent of socket.sent) sent.answer({ ok: true });
    await Promise.all(answers);
    expect(socket.sent.map(({ name, args }) => [name, args.length])).toEqual([
      ["turn:cancel", 0],
      ["history:reset", 0],
      ["session:end", 0],
    ]);
  });

  test("a message goes out once more under its own name after a break, and is answered once", async () => {
    const { session: one, socket } = session();
    const said = one.say("hello");
    await settle();
    expect(socket.sent).toEqual([]);
    socket.open();
    await settle();
    socket.drop("transport close");
    await settle();
    socket.open({ resumed: true });
    await settle();
    expect(socket.sent.map(({ name }) => name)).toEqual(["message", "message"]);
    const [first, second] = socket.sent.map(({ args }) => args[0] as { text: string; clientMessageId: string });
    expect(first).toEqual({ text: "hello", clientMessageId: expect.stringMatching(/^[0-9a-f]{32}$/) as string });
    expect(second).toEqual(first);
    socket.sent[1]?.answer({ ok: true, turn: 1, duplicate: true });
    await expect(said).resolves.toEqual({ ok: true, turn: 1, duplicate: true });
  });

  test("a message that is refused is not sent again", async () => {
    const { session: one, socket } = session();
    socket.open();
    const said = one.say({ text: "hello", clientMessageId: "m1" });
    await settle();
    socket.sent[0]?.answer({ ok: false, code: "busy", message: "Later.", retryable: true });
    await expect(said).rejects.toMatchObject({ code: "busy", retryable: true });
    expect(socket.sent).toHaveLength(1);
  });
});

describe("the connection", () => {
  test("comes back when the server ended it, later each time, until it is there", async () => {
    const { session: one, socket } = session({ retryDelay: 100, retryDelayMax: 300 });
    socket.open();
    for (const longest of [125, 250, 375, 375]) {
      socket.connected = true;
      socket.drop("io server disconnect");
      const before = socket.connects;
      expect(one.state).toEqual({ kind: "lost", problem: "The connection broke." });
      await vi.advanceTimersByTimeAsync(longest);
      expect(socket.connects).toBe(before + 1);
    }
    socket.open({ resumed: true });
    expect(one.state.kind).toBe("ready");
  });

  test("does not come back where the server refused it for good, and says why", async () => {
    const { session: one, socket } = session();
    const ready = one.ready().catch((error: unknown) => error);
    socket.connected = true;
    socket.event("error", "Nobody is known by this token.", { code: "unauthenticated" });
    socket.drop("io server disconnect");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.connects).toBe(0);
    expect(await ready).toMatchObject({ code: "unauthenticated", message: "Nobody is known by this token." });
    expect(one.state.kind).toBe("refused");
    await expect(one.say("hello")).rejects.toBeInstanceOf(Refusal);
  });

  test("comes back where the refusal was for the moment", async () => {
    const { session: one, socket } = session({ retryDelay: 100 });
    socket.connected = true;
    socket.event("error", "The server is shutting down.", { code: "server_draining" });
    socket.drop("io server disconnect");
    expect(one.state).toEqual({ kind: "lost", problem: "The server is shutting down." });
    await vi.advanceTimersByTimeAsync(125);
    expect(socket.connects).toBe(1);
  });

  test("is left for good, and nobody waits for it any more", async () => {
    const { session: one, socket } = session({ retryDelay: 100 });
    const states: string[] = [];
    one.onState(({ kind }) => states.push(kind));
    socket.open();
    socket.drop("io server disconnect");
    const ready = one.ready().catch((error: unknown) => error);
    one.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await ready).toBeInstanceOf(Unanswered);
    expect([socket.connects, states]).toEqual([0, ["connecting", "ready", "lost", "closed"]]);
  });
});
