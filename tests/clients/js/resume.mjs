// A client whose connection is cut again and again while an answer streams. It applies an event that follows the last one
// and ignores one that it has: socket.io-client keeps what it read before a cut, and hands it out after the reconnect.
import { Session, check, script } from "./session.mjs";

const url = process.argv[2];
let last;
let sessionId;
const session = new Session(url, {
  transports: ["websocket"],
  query: {},
  auth: (give) => give({ protocol: 2, lastEventId: last }),
});
session.socket.on("system:ready", (ready) => {
  sessionId = ready.sessionId;
  session.socket.io.opts.query = { sessionId };
});
const place = (id) => Number(id.split("-")[1]);
const events = [];
let cuts = 0;
session.socket.onAny((name, payload, meta) => {
  if (!meta?.id || (last && place(meta.id) <= place(last))) return;
  last = meta.id;
  events.push({ name, payload, meta });
  if (name === "agent:delta" && cuts < 5 && events.length % 2 === 0) {
    cuts += 1;
    session.socket.io.engine.close();
  }
});

await session.until("system:ready");
const words = Array.from({ length: 120 }, (_, n) => `word-${n}`).join(" ");
await session.send("message", { text: script({ text: words, delay_ms: 10 }), clientMessageId: "m-1" });
const answer = await session.until("agent:response");
await session.until("turn:completed");
check(cuts === 5, `only ${cuts} cuts`);
check(answer.payload === words, `the answer is ${answer.payload}`);
const places = events.map((event) => place(event.meta.id));
check(places.every((at, n) => n === 0 || at === places[n - 1] + 1), `gaps: ${places}`);
const streamed = events.filter((event) => event.name === "agent:delta").map((event) => event.payload.text).join("");
check(streamed === words, `the deltas are ${streamed}`);
session.socket.disconnect();
