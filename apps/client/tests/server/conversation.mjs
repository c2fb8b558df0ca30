// A conversation: calls allowed, edited and denied; refusals; the history; a second client that comes later. conversation.mjs URL
import { Refusal, connect, numberOf } from "../../dist/index.js";
import { check, next, play, run, script } from "./harness.mjs";

await play(async (url) => {
  const session = connect(url, { transports: ["websocket"] });
  const { sessionId, protocol, resumed } = await session.ready();
  check(sessionId && protocol === 2 && !resumed, "the session is not what it should be");
  const places = [];
  session.onEvent(({ meta }) => meta.id && places.push(numberOf(meta.id)));

  // Allowed, edited, denied.
  const decisions = [
    (callId) => session.approve(callId),
    (callId) => session.approve(callId, { args: { command: "echo edited-by-the-client" } }),
    (callId) => session.deny(callId, "not-now-says-the-client"),
  ];
  const outputs = [];
  session.on("tool:output", (output) => outputs.push(output));
  const asked = session.on("tool:approval_required", async ({ callId }) => {
    check(session.pending.has(callId), "a call that waits is not pending");
    await decisions.shift()(callId);
  });
  const ended = next(session, "turn:completed");
  const steps = [run("echo first"), run("echo second"), run("echo third"), { text: "The results:", quote: true }];
  const { turn, duplicate } = await session.say(script(...steps));
  check(turn === 1 && duplicate === false, "the first message is not the first turn");
  const { toolCalls } = await ended;
  check(toolCalls === 3 && session.pending.size === 0, `${session.pending.size} of ${toolCalls} calls wait still`);
  check(outputs.length === 2, `${outputs.length} outputs`);
  check(outputs[0].includes("first") && outputs[1].includes("edited-by-the-client"), `the outputs are ${outputs}`);
  asked();

  // The history says the same, and the denial's reason.
  const { messages } = await session.history({ limit: 50 });
  check(JSON.stringify(messages).includes("not-now-says-the-client"), "the reason is not in the history");

  // Refusals are typed.
  const refusal = await session.approve("call_9_9_9").catch((error) => error);
  check(refusal instanceof Refusal && refusal.code === "unknown_call" && !refusal.retryable, `refused with ${refusal}`);
  const idle = await session.cancel().catch((error) => error);
  check(idle instanceof Refusal && idle.code === "nothing_running", `refused with ${idle}`);
  const greeted = next(session, "turn:completed");
  const again = await session.say({ text: "hello", clientMessageId: "m-1" });
  await greeted;
  const twice = await session.say({ text: "hello", clientMessageId: "m-1" });
  check(twice.duplicate && twice.turn === again.turn, "the same message twice is two");
  check(
    places.every((at, n) => n === 0 || at === places[n - 1] + 1),
    `gaps: ${places}`,
  );

  // Who comes later and knows nothing gets a snapshot; who names an event goes on after it.
  const late = connect(url, { session: sessionId, role: "observer" });
  const snapshot = await next(late, "history:snapshot");
  check(snapshot.lastEventId === session.lastEventId, `the snapshot is of ${snapshot.lastEventId}`);
  const forbidden = await late.say("hello").catch((error) => error);
  check(forbidden instanceof Refusal && forbidden.code === "forbidden", `an observer was told ${forbidden}`);
  late.close();
  const back = connect(url, { session: sessionId, lastEventId: "0-0" });
  const replayed = [];
  back.onEvent(({ meta }) => meta.id && replayed.push(meta.id));
  await next(back, "turn:completed", () => back.lastEventId === session.lastEventId);
  check(replayed.length === numberOf(session.lastEventId), `${replayed.length} events came of ${session.lastEventId}`);
  back.close();
  session.close();
});
