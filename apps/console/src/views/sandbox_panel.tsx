import type { AppState, Controller, Link } from "../app/controller.ts";
import { ConfirmButton } from "./confirm_button.tsx";
import { Files } from "./files.tsx";
import { Stages } from "./stages.tsx";
import { Visible } from "./text.tsx";

/** The sandbox: its files, how it stands, how it is removed. */
export function SandboxPanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { session, link } = state;
  const { ready, expired, progress } = session;
  return (
    <>
      <h2>Files</h2>
      <Files key={state.sessionId} state={state} controller={controller} />
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
      </dl>
      {progress.size > 0 && (
        <details>
          <summary>How it started</summary>
          <Stages stages={[...progress.values()]} />
        </details>
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
    </>
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
