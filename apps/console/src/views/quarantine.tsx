// Tools that are not what they were: held back until a human has seen what changed.

import { useState } from "preact/hooks";
import type { Controller } from "../app/controller.ts";
import type { Json, Quarantine, ToolShape } from "../contract.ts";
import { difference } from "../session/difference.ts";
import type { Session } from "../session/state.ts";
import { words } from "./asked.ts";
import { ConfirmButton } from "./confirm_button.tsx";
import { Lines } from "./lines.tsx";
import { Visible } from "./text.tsx";

export function Quarantined({ session, controller }: { session: Session; controller: Controller }) {
  if (session.quarantined.size === 0) return null;
  return (
    <section aria-label="Held back">
      <h2>Held back</h2>
      <p class="quiet">
        These tools are not what they were when they were first used. The model neither sees nor calls them until you
        say that they may be what they are now.
      </p>
      {[...session.quarantined].map(([key, tool]) => (
        <QuarantineView key={`${key} ${tool.fingerprint}`} tool={tool} controller={controller} />
      ))}
    </section>
  );
}

function QuarantineView({ tool, controller }: { tool: Quarantine; controller: Controller }) {
  const { server, name, before, after, changes, fingerprint } = tool;
  const [problem, setProblem] = useState<string | undefined>();
  const trust = (): void => {
    setProblem(undefined);
    controller.ask("tool:trust", { server, name, fingerprint }).catch((error: unknown) => setProblem(words(error)));
  };
  const lines = difference(JSON.stringify(shown(before)), JSON.stringify(shown(after)));
  return (
    <article class="server held" data-state="held">
      <header>
        <h3>
          <code>
            <Visible text={name} />
          </code>{" "}
          of <Visible text={server} />
        </h3>
        <span class="badge">held back</span>
      </header>
      {changes.length === 0 && <p>It is again what it was.</p>}
      {changes.includes("other") && (
        <p>Something changed that is not shown here, such as what its server says of itself.</p>
      )}
      {lines.map(
        (change) =>
          "lines" in change && (
            <div key={change.name}>
              <p class="quiet">
                <code>{change.name}</code>
              </p>
              <Lines name={change.name} lines={change.lines} />
            </div>
          ),
      )}
      {problem !== undefined && (
        <p class="problem" role="alert">
          <Visible text={problem} />
        </p>
      )}
      <div class="actions">
        <span class="quiet">
          Fingerprint <code>{fingerprint.slice(0, 8)}</code>
        </span>
        <span class="space" />
        <ConfirmButton small sure="Trust it as it is now?" disabled={false} act={trust}>
          Trust this<span class="hidden"> {name}</span>
        </ConfirmButton>
      </div>
    </article>
  );
}

function shown({ title = "", description, inputSchema, annotations }: ToolShape): Json {
  return { title, description, inputSchema, annotations: { ...annotations } };
}
