// The server is killed while it answers, and again while nobody looks: nothing is lost and nothing comes twice. restart.mjs URL
import { connect, numberOf } from "../../dist/index.js";
import { ask, check, next, play, script } from "./harness.mjs";

await play(async (url) => {
  const session = connect(url, { retryDelay: 50, retryDelayMax: 200 });
  const { sessionId } = await session.ready();
  const states = [];
  session.onState(({ kind }) => states.push(kind));
  const places = [];
  session.onEvent(({ meta }) => meta.id && places.push(numberOf(meta.id)));
  const messages = [];
  session.on("user:message", ({ text }) => messages.push(text));

  // In the middle of an answer.
  const words = Array.from({ length: 200 }, (_, n) => `word-${n}`).join(" ");
  const begun = next(session, "agent:delta");
  await session.say(script({ text: words, delay_ms: 10 }));
  await begun;
  let turns = 0;
  const ended = next(session, "turn:completed", () => ++turns === 2);
  await ask("kill");
  // What is said now waits for the server, and is stored once.
  const said = session.say("and on");
  await ask("start");
  const { duplicate } = await said;
  check(duplicate === false, "a message that never arrived was a duplicate");
  const { sessionId: after, resumed } = await session.ready();
  check(after === sessionId && resumed, "it came back to another session");
  await ended;
  check(states.includes("lost") && states.at(-1) === "ready", `the connection was ${states}`);
  check(messages.length === 2, `the messages are ${messages}`);
  check(
    places.every((at, n) => n === 0 || at === places[n - 1] + 1),
    `gaps: ${places}`,
  );
  session.close();
});
