import type { McpStatus } from "../contract.ts";
import type { Session } from "../session/state.ts";
import { Readable, Visible } from "./text.tsx";

const STATES: Record<McpStatus["state"], string> = {
  up: "up",
  restarting: "starting again",
  down: "down; the next call of one of its tools tries to start it",
  held_back: "held back; it failed to start too often lately",
};

/** How the session's MCP servers do, and why one does not. */
export function McpServers({ session }: { session: Session }) {
  const servers = known(session);
  return (
    <>
      <h2>MCP servers</h2>
      {servers.length === 0 && <p class="quiet">None.</p>}
      {servers.map(({ server, state, tools, problem, code }) => (
        <article key={server} class="server" data-state={state}>
          <header>
            <h3>
              <Visible text={server} />
            </h3>
            {state === "up" && <span class="quiet">{tools === 1 ? "1 tool" : `${tools} tools`}</span>}
            <span class="badge">{state === "up" ? "up" : "not up"}</span>
          </header>
          {state !== "up" && <p>It is {STATES[state]}.</p>}
          {problem !== undefined && (
            <p class="quiet">
              <Readable text={problem} /> {code !== undefined && <code>{code}</code>}
            </p>
          )}
        </article>
      ))}
    </>
  );
}

/** Servers with tools are up unless it was said that they are not. */
function known(session: Session): McpStatus[] {
  const all = new Map<string, McpStatus>();
  for (const { server } of session.ready?.tools ?? []) {
    all.set(server, { server, state: "up", tools: (all.get(server)?.tools ?? 0) + 1 });
  }
  for (const status of session.servers.values()) all.set(status.server, status);
  return [...all.values()];
}
