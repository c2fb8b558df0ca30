// A whole conversation: full-loop.mjs URL TRANSPORTS approve|deny
import { Session, check, script } from "./session.mjs";

const [url, transports, answer] = process.argv.slice(2);
const session = new Session(url, { transports: transports.split(",") });
const ready = await session.until("system:ready");
check(ready.payload.protocol === 1 && ready.payload.sessionId, `system:ready: ${JSON.stringify(ready.payload)}`);
if (transports === "polling,websocket" && session.socket.io.engine.transport.name !== "websocket") {
  await new Promise((resolve) => session.socket.io.engine.once("upgrade", resolve));
}

const run = { text: "I run it. ", calls: [{ name: "execute_command", args: { command: "echo made-by-a-tool" } }] };
await session.send("message", script(run, { text: "The results:", quote: true }));
const asked = await session.until("tool:approval_required");
check(asked.payload.args.command === "echo made-by-a-tool", `the wrong call: ${JSON.stringify(asked.payload)}`);
await session.send("tool:approval", { callId: asked.payload.callId, approved: answer === "approve", reason: "not now" });
const said = await session.until("agent:response");
const wanted = answer === "approve" ? "made-by-a-tool" : "not now";
check(typeof said.payload === "string" && said.payload.includes(wanted), `the answer lacks ${wanted}: ${said.payload}`);
const outputs = session.seen.filter((event) => event.name === "tool:output");
check(outputs.length === (answer === "approve" ? 1 : 0), `${outputs.length} outputs`);
await session.until("turn:completed");
const last = transports.split(",").at(-1);
check(session.socket.io.engine.transport.name === last, `it speaks ${session.socket.io.engine.transport.name}`);
session.socket.disconnect();
