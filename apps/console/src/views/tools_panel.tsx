import type { AppState, Controller } from "../app/controller.ts";
import type { GrantScope, Tool } from "../contract.ts";
import type { Session } from "../session/state.ts";
import { Covered } from "./covered.tsx";
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
              <ToolView key={tool.name} tool={tool} grants={grants(session, tool)} />
            ))}
        </section>
      ))}
      <Rules state={state} controller={controller} />
    </>
  );
}

function ToolView({ tool, grants }: { tool: Tool; grants: readonly GrantScope[] }) {
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
        {grants.length > 0 && <span class="badge">approved for this session</span>}
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
      {grants.map((scope, index) => (
        <p key={index} class="quiet">
          Runs without asking in this session: <Covered scope={scope} />.
        </p>
      ))}
      <details>
        <summary>What it takes</summary>
        <Pre label={`Schema of ${tool.name}`} text={JSON.stringify(tool.inputSchema, null, 2)} kind="json" />
      </details>
    </details>
  );
}

/** What humans have approved of this tool for the whole session, as far as the log here shows. */
function grants(session: Session, tool: Tool): GrantScope[] {
  return [...session.calls.values()].flatMap(({ name, server, resolution }) => {
    const isGrant = resolution?.decision === "approved" && resolution.scope === "session";
    if (name !== tool.name || server !== tool.server || !isGrant) return [];
    return [resolution.grant ?? { kind: "tool" }];
  });
}
