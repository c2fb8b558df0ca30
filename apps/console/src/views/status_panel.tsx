import type { AppState, Controller, Link } from "../app/controller.ts";
import type { Progress } from "../contract.ts";
import { ConfirmButton } from "./confirm_button.tsx";
import { Visible } from "./text.tsx";

/** The sandbox, the model, and what is not as it should be. */
export function StatusPanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { session, link, readiness } = state;
  const { ready, expired, progress } = session;
  return (
    <>
      <h2>Sandbox</h2>
      <dl class="facts">
        <dt>State</dt>
        <dd>{expired === undefined ? sandboxState(link) : "Removed. The next message starts a new one."}</dd>
        {expired !== undefined && (
          <>
            <dt>Why</dt>
            <dd>
              <Visible text={expired} />
            </dd>
          </>
        )}
        <dt>Name</dt>
        <dd class="id">{ready?.containerId ?? "–"}</dd>
        <dt>Servers</dt>
        <dd>
          <Visible text={[...new Set(ready?.tools.map((tool) => tool.server))].join(", ") || "–"} />
        </dd>
      </dl>
      {progress.size > 0 && (
        <>
          <h3>How it started</h3>
          <Stages stages={[...progress.values()]} />
        </>
      )}
      <div class="actions">
        <ConfirmButton
          sure="Remove it with its files?"
          disabled={link.kind !== "ready" || expired !== undefined}
          act={() => void controller.endSession()}
        >
          Remove the sandbox
        </ConfirmButton>
      </div>
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
            readiness.reasons.map((reason) => `${reason.message} (${reason.code})`).join(" ")}
        </dd>
        <dt>Model</dt>
        <dd>{ready === undefined ? "–" : `${ready.provider}, ${ready.model}`}</dd>
        {ready?.provider === "demo" && (
          <>
            <dt>Stand-in</dt>
            <dd>The demo plays scripted replies. A key for a provider gets you a model.</dd>
          </>
        )}
      </dl>
    </>
  );
}

export function Stages({ stages }: { stages: readonly Progress[] }) {
  return (
    <ul class="stages">
      {stages.map((each) => (
        <li key={each.stage} data-status={each.status}>
          <Visible text={each.message || each.stage} />{" "}
          <span class="quiet">
            {each.status}, {(each.elapsedMs / 1_000).toFixed(1)} s
          </span>
          {each.total !== undefined && each.current !== undefined && each.status === "running" && (
            <progress value={each.current} max={each.total} aria-label={each.stage} />
          )}
        </li>
      ))}
    </ul>
  );
}

function sandboxState(link: Link): string {
  switch (link.kind) {
    case "ready":
      return "Running";
    case "starting":
      return "Starting";
    default:
      return "Not known without a connection";
  }
}

/** The connection in a few words. */
export function linkState(link: Link): string {
  switch (link.kind) {
    case "connecting":
      return "Connecting";
    case "starting":
      return "Starting the session";
    case "ready":
      return "Connected";
    case "lost":
      return "Reconnecting";
    case "refused":
      return "Refused";
  }
}
