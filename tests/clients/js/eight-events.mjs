// A frontend from before there was more: message, tool:approval, agent:thinking, agent:response,
// tool:approval_required, tool:output, agent:error, system:ready, and error. Its handlers take one argument each.
import { io } from "socket.io-client";

const socket = io(process.argv[2]);
const order = [];
socket.onAny((name, ...args) => {
  if (args.length > 1) end(`${name} has ${args.length} arguments`);
});
const deadline = setTimeout(() => end(`it did not end; seen: ${order}`), 20_000);

function end(problem) {
  clearTimeout(deadline);
  socket.disconnect();
  if (problem) console.error(problem);
  process.exitCode = problem ? 1 : 0;
}

socket.on("system:ready", ({ sessionId, containerId, provider }) => {
  if (!sessionId || !containerId || !provider) return end("system:ready lacks something");
  socket.emit("message", "run `echo made-by-a-tool`");
});
socket.on("agent:thinking", () => order.push("thinking"));
socket.on("tool:approval_required", ({ name, args, callId }) => {
  if (!name || !args || !callId) return end("tool:approval_required lacks something");
  order.push("approval");
  socket.emit("tool:approval", { callId, approved: true });
});
socket.on("tool:output", (output) => {
  if (typeof output !== "string") return end("tool:output is not a string");
  JSON.parse(output);
  order.push("output");
  console.log(output);
});
socket.on("agent:response", (text) => {
  if (typeof text !== "string") return end("agent:response is not a string");
  order.push("response");
  const wanted = "thinking,approval,output,response";
  const found = order.filter((name, place) => name !== "thinking" || place === 0).join();
  end(found === wanted ? undefined : `the order was ${order}`);
});
socket.on("agent:error", (text) => end("agent:error " + text));
socket.on("error", (reason) => end(`error ${reason}`));
