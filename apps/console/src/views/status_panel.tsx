import type { AppState } from "../app/controller.ts";
import { linkState } from "./link_state.ts";
import { McpServers } from "./mcp_servers.tsx";
import { Readable, Visible } from "./text.tsx";

/** The server, the model, and what is not as it should be. */
export function StatusPanel({ state }: { state: AppState }) {
  const { session, link, readiness } = state;
  const { ready } = session;
  return (
    <>
      <h2>Server</h2>
      <dl class="facts">
        <dt>Connection</dt>
        <dd>{linkState(link)}</dd>
        <dt>Readiness</dt>
        <dd>
          {readiness === undefined && "not asked yet"}
          {readiness?.kind === "ready" && "ready"}
          {readiness?.kind === "unreachable" && "no answer"}
          {readiness?.kind === "degraded" &&
            readiness.reasons.map((reason) => (
              <p key={reason.code}>
                <Readable text={reason.message} /> {reason.hint !== undefined && <Readable text={reason.hint} />}{" "}
                <code>{reason.code}</code>
              </p>
            ))}
        </dd>
        <dt>Model</dt>
        <dd>{ready === undefined ? "–" : <Visible text={`${ready.provider}, ${ready.model}`} />}</dd>
        {ready?.provider === "demo" && (
          <>
            <dt>Stand-in</dt>
            <dd>The demo plays scripted replies. A key for a provider gets you a model.</dd>
          </>
        )}
      </dl>
      <McpServers session={session} />
    </>
  );
}
