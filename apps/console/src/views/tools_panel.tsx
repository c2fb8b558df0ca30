import type { AppState, Controller } from "../app/controller.ts";
import type { Tool } from "../contract.ts";
import type { Session } from "../session/state.ts";
import { Quarantined } from "./quarantine.tsx";
import { Rules } from "./rules.tsx";
import { Pre, Visible } from "./text.tsx";

export function ToolsPanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { session } = state;
  const tools = session.ready?.tools ?? [];
  const servers = [...new Set(tools.map((tool) => tool.server))];
  return (
    <>
      <Quarantined session={session} controller={controller} />
      <h2>Tools</h2>
      <p class="quiet">
        What the servers say about their tools is theirs to say. What a call may do is decided by the server's rules,
        else by you; each call says which rule it met.
      </p>
      {tools.length === 0 && <p>None.</p>}
      {servers.map((server) => (
        <section key={server}>
          <h3>
            <Visible text={server} />
          </h3>
          {tools
            .filter((tool) => tool.server === server)
            .map((tool) => (
              <ToolView key={tool.name} tool={tool} decided={decided(session, tool)} />
            ))}
        </section>
      ))}
      <Rules state={state} controller={controller} />
    </>
  );
}

function ToolView({ tool, decided }: { tool: Tool; decided: string }) {
  const { annotations } = tool;
  const hints = [
    annotations.readOnlyHint === true && "reads only",
    annotations.destructiveHint === true && "may destroy",
    annotations.idempotentHint === true && "may be repeated",
    annotations.openWorldHint === true && "reaches outside",
  ].filter((hint) => hint !== false);
  return (
    <details class="tool">
      <summary>
        <code>
          <Visible text={tool.name} />
        </code>
        {decided !== "" && <span class="badge">{decided}</span>}
        {hints.length > 0 && <span class="hints quiet">By its own word: {hints.join(", ")}</span>}
      </summary>
      {tool.title !== undefined && (
        <p>
          <strong>
            <Visible text={tool.title} />
          </strong>
        </p>
      )}
      <p class="plain">
        <Visible text={tool.description} />
      </p>
      <details>
        <summary>What it takes</summary>
        <Pre label={`Schema of ${tool.name}`} text={JSON.stringify(tool.inputSchema, null, 2)} kind="json" />
      </details>
    </details>
  );
}

/** Whether a human has let this tool run for the whole session, as far as the log here shows. */
function decided(session: Session, tool: Tool): string {
  const grants = [...session.calls.values()].some(
    (call) =>
      call.name === tool.name &&
      call.server === tool.server &&
      call.resolution?.decision === "approved" &&
      call.resolution.scope === "session",
  );
  return grants ? "approved for this session" : "";
}
