// The rules that decide over calls without asking: the user's own, which can be revoked, and the operator's, which stand above.

import { useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import type { FileRule, StoredRule } from "../contract.ts";
import { useAsked, words } from "./asked.ts";
import { ConfirmButton } from "./confirm_button.tsx";
import { Pre, Visible } from "./text.tsx";
import { Unanswered } from "./unanswered.tsx";

const TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export function Rules({ state, controller }: { state: AppState; controller: Controller }) {
  const { sessionId, session, link } = state;
  const [changes, setChanges] = useState(0);
  const [problem, setProblem] = useState<string | undefined>();
  // An approval for always stores one, and a call that one lets run uses it.
  const decided = [...session.calls.values()].filter((call) => call.resolution !== undefined).length;
  const list = useAsked(link.kind === "ready", () => controller.ask("policy:list"), [sessionId, decided, changes]);
  const revoke = (id: string): void => {
    setProblem(undefined);
    controller
      .ask("policy:revoke", { id })
      .catch((error: unknown) => setProblem(words(error)))
      .finally(() => setChanges((count) => count + 1));
  };
  return (
    <section aria-label="Rules">
      <h2>Rules</h2>
      {problem !== undefined && (
        <p class="problem" role="alert">
          <Visible text={problem} />
        </p>
      )}
      <Unanswered asked={list} />
      {list.kind === "there" && (
        <>
          <h3>Yours, stored by approvals for always</h3>
          {list.value.rules.length === 0 && <p class="quiet">None. Every call without another rule asks you.</p>}
          {list.value.rules.map((rule) => (
            <StoredRuleView key={rule.id} stored={rule} revoke={() => revoke(rule.id)} />
          ))}
          {list.value.fileRules.length > 0 && <h3>The operator's, which stand above yours</h3>}
          {list.value.fileRules.map((rule) => (
            <FileRuleView key={rule.name} rule={rule} />
          ))}
        </>
      )}
    </section>
  );
}

function StoredRuleView({ stored, revoke }: { stored: StoredRule; revoke(): void }) {
  const { id, rule, createdAt, lastUsedAt } = stored;
  return (
    <article class="rule">
      <Pre label={`Rule ${id}`} text={JSON.stringify(rule, null, 2)} kind="json" />
      <div class="actions">
        <span class="quiet">
          Stored {TIME.format(Date.parse(createdAt))}.{" "}
          {lastUsedAt === undefined ? "Not used yet." : `Last used ${TIME.format(Date.parse(lastUsedAt))}.`}
        </span>
        <span class="space" />
        <ConfirmButton small sure="Revoke it?" disabled={false} act={revoke}>
          Revoke<span class="hidden"> rule {id}</span>
        </ConfirmButton>
      </div>
    </article>
  );
}

function FileRuleView({ rule }: { rule: FileRule }) {
  return (
    <details class="tool">
      <summary>
        <Visible text={rule.name} />
      </summary>
      <Pre label={`The rule ${rule.name}`} text={JSON.stringify(rule.rule, null, 2)} kind="json" />
    </details>
  );
}
