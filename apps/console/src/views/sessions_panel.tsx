import type { AppState, Controller } from "../app/controller.ts";
import { ConfirmButton } from "./confirm_button.tsx";

const TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export function SessionsPanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { sessionId, known, link } = state;
  return (
    <>
      <h2>Sessions</h2>
      <div class="actions">
        <button type="button" class="primary" onClick={() => controller.open(undefined)}>
          New session
        </button>
        <ConfirmButton
          sure="Empty it for good?"
          disabled={link.kind !== "ready"}
          act={() => void controller.clearHistory()}
        >
          Empty the history
        </ConfirmButton>
      </div>
      <p class="quiet">Opened in this browser. A session goes on without anybody looking at it.</p>
      <ul class="list">
        {known.map(({ id, usedAt }) => (
          <li key={id} aria-current={id === sessionId ? "true" : undefined}>
            <button type="button" class="link" onClick={() => id !== sessionId && controller.open(id)}>
              <span class="id">{id}</span>
              <span class="quiet">{TIME.format(usedAt)}</span>
            </button>
            {id !== sessionId && (
              <button
                type="button"
                class="small"
                title="Takes it off this list. It stays on the server."
                onClick={() => controller.forgetSession(id)}
              >
                Hide<span class="hidden"> session {id}</span>
              </button>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
