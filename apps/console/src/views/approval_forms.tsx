// The longer answers to a call: with other arguments, or with a reason why not.

import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { GrantScope, Json } from "../contract.ts";
import type { Verdict } from "../app/controller.ts";
import { laidOut } from "../text/exact.ts";
import { problems } from "../text/schema.ts";
import { Allow } from "./allow.tsx";
import { Covered } from "./covered.tsx";
import { Pre, Readable } from "./text.tsx";

interface Props {
  disabled: boolean;
  give(verdict: Verdict): void;
  back(): void;
}

export function Edit({ json, schema, disabled, give, back }: Props & { json: string; schema: Json | undefined }) {
  const [text, setText] = useState(() => laidOut(json));
  const field = useFocus<HTMLTextAreaElement>();
  const id = useId();
  const parsed = read(text, schema);
  return (
    <div class="stack">
      <label for={id}>Arguments that shall run instead, as JSON</label>
      <textarea
        id={id}
        ref={field}
        class="code"
        rows={Math.min(16, text.split("\n").length + 1)}
        spellcheck={false}
        value={text}
        aria-invalid={!parsed.ok}
        aria-describedby={`${id}-problem`}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <p id={`${id}-problem`} class={parsed.ok ? "quiet" : "problem"}>
        {parsed.ok ? "The server checks them against the tool's schema." : <Readable text={parsed.problem} />}
      </p>
      {schema !== undefined && (
        <details>
          <summary>What the tool takes</summary>
          <Pre label="The tool's schema" text={JSON.stringify(schema, null, 2)} kind="json" />
        </details>
      )}
      <div class="actions">
        <button type="button" onClick={back}>
          Back
        </button>
        <span class="space" />
        <Allow
          primary
          disabled={disabled || !parsed.ok}
          act={() => parsed.ok && give({ approved: true, argsText: text })}
        >
          Approve with these
        </Allow>
      </div>
    </div>
  );
}

/** What an approval for always would store, before it does. */
export function Always({ rule, disabled, give, back }: Props & { rule: unknown }) {
  const id = useId();
  return (
    <div class="stack" role="group" aria-labelledby={id}>
      <p id={id}>
        This rule would be stored for all of your sessions. It lets such calls run without asking, as long as the tool
        stays what it is; it can be revoked under Tools.
      </p>
      <Pre label="The rule that would be stored" text={JSON.stringify(rule, null, 2)} kind="json" />
      <div class="actions">
        <button type="button" onClick={back}>
          Back
        </button>
        <span class="space" />
        <Allow primary disabled={disabled} act={() => give({ approved: true, scope: "always" })}>
          Store the rule and approve
        </Allow>
      </div>
    </div>
  );
}

/** The scopes that an approval for the session may have. */
export function ForSession({ scopes, disabled, give, back }: Props & { scopes: readonly GrantScope[] }) {
  const id = useId();
  return (
    <div class="stack" role="group" aria-labelledby={id}>
      <p id={id}>Calls of this tool run without asking for the rest of the session, as far as you choose:</p>
      {scopes.map((scope, index) => (
        <div class="actions" key={index}>
          <span>
            <Covered scope={scope} />
          </span>
          <span class="space" />
          <Allow disabled={disabled} act={() => give({ approved: true, scope: "session", grant: scope })}>
            Approve these
          </Allow>
        </div>
      ))}
      <div class="actions">
        <button type="button" onClick={back}>
          Back
        </button>
      </div>
    </div>
  );
}

export function Deny({ disabled, give, back }: Props) {
  const [reason, setReason] = useState("");
  const field = useFocus<HTMLInputElement>();
  const id = useId();
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        give({ approved: false, ...(reason.trim() === "" ? {} : { reason: reason.trim() }) });
      }}
    >
      <label for={id}>Why not? The model is told. (May be empty.)</label>
      <input id={id} ref={field} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      <div class="actions">
        <button type="submit" class="danger" disabled={disabled}>
          Deny the call
        </button>
        <button type="button" onClick={back}>
          Back
        </button>
      </div>
    </form>
  );
}

/** Focus follows the button that opened this, before the next key is pressed. */
function useFocus<T extends HTMLElement>() {
  const field = useRef<T>(null);
  useLayoutEffect(() => field.current?.focus(), []);
  return field;
}

function read(text: string, schema: Json | undefined): { ok: true } | { ok: false; problem: string } {
  try {
    const value = JSON.parse(text) as Json;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!isObject) return { ok: false, problem: "Arguments are an object: { … }." };
    const found = problems(schema, value);
    return found.length === 0 ? { ok: true } : { ok: false, problem: found.join(" ") };
  } catch (error) {
    return { ok: false, problem: `This is no JSON yet: ${error instanceof Error ? error.message : "?"}` };
  }
}
