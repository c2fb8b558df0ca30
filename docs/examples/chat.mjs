// A conversation in the terminal: node chat.mjs [URL [TOKEN]]. Needs `npm install socket.io-client`.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url = "http://127.0.0.1:3000", token] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question) {
  process.stdout.write(question);
  const { value, done } = await lines.next();
  if (done) process.exit(0);
  return value;
}

// What a reconnect names: the session, and the last event that was seen of it.
let last;
const socket = io(url, { auth: (give) => give({ protocol: 2, token, lastEventId: last }) });
const number = (id) => Number(id.split("-")[1]);
socket.onAny((name, payload, meta) => {
  if (meta?.id && last && number(meta.id) <= number(last)) return; // seen before the connection broke
  if (meta?.id) last = meta.id;
  events[name]?.(payload, meta);
});

/** Sends a command; a refusal is told and is no error of the program. */
async function send(name, payload) {
  const answer = await socket.timeout(20_000).emitWithAck(name, payload);
  if (!answer.ok) console.error(answer.message, answer.hint ?? "");
  return answer.ok;
}

async function talk() {
  while (!(await send("message", await ask("> "))));
}

const events = {
  "system:ready"({ sessionId, model, resumed, lastEventId }) {
    socket.io.opts.query = { sessionId };
    if (last) return; // the connection is back, and the log goes on where it was
    last = resumed ? lastEventId : "0-0";
    console.log(`${model} is ready, in the session ${sessionId}`);
    void talk();
  },
  "agent:delta": ({ text }) => process.stdout.write(text),
  async "tool:approval_required"({ callId, server, name, argsText, why, digest }) {
    const said = await ask(`\n${server} wants to run ${name} ${argsText}\n${why} Let it? [y/N] `);
    await send("tool:approval", { callId, digest, approved: said.trim().toLowerCase() === "y", reason: "The user said no." });
  },
  "tool:output": (output) => console.log(JSON.parse(output).map((part) => part.text ?? `(${part.type})`).join("\n")),
  "tool:error": ({ name, message }) => console.log(`${name}: ${message}`),
  "agent:error": ({ message, hint }) => console.error(message, hint ?? ""),
  "turn:completed"() {
    process.stdout.write("\n");
    void talk();
  },
  error(reason) {
    console.error(reason);
    process.exit(1);
  },
};
