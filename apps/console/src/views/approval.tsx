// The card by which a human decides about a call.

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Annotations, Json } from "../contract.ts";
import type { Deciding, Verdict } from "../app/controller.ts";
import type { Call, Question } from "../session/state.ts";
import { Arguments, Visible } from "./text.tsx";

interface Props {
  call: Call;
  question: Question;
  deciding: Deciding | undefined;
  /** How far this machine's clock is ahead of the server's, in milliseconds. */
  clockAhead: number;
  canDecide: boolean;
  decide(callId: string, verdict: Verdict): void;
}

type Mode = "choose" | "edit" | "deny";

export function ApprovalCard({ call, question, deciding, clockAhead, canDecide, decide }: Props) {
  const [mode, setMode] = useState<Mode>("choose");
  const card = useRef<HTMLElement>(null);
  const id = useId();
  const give = (verdict: Verdict): void => {
    // The buttons go away; who used them by keyboard stays here.
    card.current?.closest<HTMLElement>("article")?.focus();
    decide(call.callId, verdict);
  };
  const disabled = !canDecide || deciding?.state === "sending";
  return (
    <section class="approval" ref={card} tabIndex={-1} aria-labelledby={`${id}-title`} data-call={call.callId}>
      <h3 id={`${id}-title`}>
        May <Visible text={call.name} /> run?
        {question.total > 1 && (
          <span class="quiet">
            {" "}
            {question.position} of {question.total}
          </span>
        )}
      </h3>
      <p>
        Server <Visible text={call.server ?? "unknown"} />. Why it asks: <Visible text={question.why} />.
        <Hints annotations={question.annotations} />
      </p>
      <Arguments args={call.args} />
      {mode === "edit" ? (
        <Edit args={call.args} disabled={disabled} give={give} back={() => setMode("choose")} />
      ) : mode === "deny" ? (
        <Deny disabled={disabled} give={give} back={() => setMode("choose")} />
      ) : (
        <div class="actions">
          <button type="button" class="primary" disabled={disabled} onClick={() => give({ approved: true })}>
            Approve once
          </button>
          <button
            type="button"
            disabled={disabled}
            title="The same tool, unchanged, asks no more in this session, whatever its arguments"
            onClick={() => give({ approved: true, scope: "session" })}
          >
            Approve for this session
          </button>
          <button type="button" disabled={disabled} onClick={() => setMode("edit")}>
            Edit arguments
          </button>
          <button type="button" class="danger" disabled={disabled} onClick={() => setMode("deny")}>
            Deny
          </button>
        </div>
      )}
      {deciding?.state === "failed" && (
        <p class="problem" role="alert">
          {deciding.problem}
        </p>
      )}
      <Countdown expiresAt={question.expiresAt} clockAhead={clockAhead} />
    </section>
  );
}

function Hints({ annotations }: { annotations: Annotations }) {
  const hints = [
    annotations.readOnlyHint === true && "changes nothing",
    annotations.destructiveHint === true && "may destroy",
    annotations.openWorldHint === true && "reaches outside",
  ].filter((hint) => hint !== false);
  return hints.length === 0 ? null : <> By its own word, it {hints.join(", ")}.</>;
}

function Edit({ args, disabled, give, back }: { args: Json; disabled: boolean; give(v: Verdict): void; back(): void }) {
  const [text, setText] = useState(() => JSON.stringify(args, null, 2));
  const field = useFocus<HTMLTextAreaElement>();
  const id = useId();
  const parsed = read(text);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (parsed.ok) give({ approved: true, args: parsed.value });
      }}
    >
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
        {parsed.ok ? "The server checks them against the tool's schema." : parsed.problem}
      </p>
      <div class="actions">
        <button type="submit" class="primary" disabled={disabled || !parsed.ok}>
          Approve with these
        </button>
        <button type="button" onClick={back}>
          Back
        </button>
      </div>
    </form>
  );
}

function Deny({ disabled, give, back }: { disabled: boolean; give(v: Verdict): void; back(): void }) {
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

function read(text: string): { ok: true; value: Json } | { ok: false; problem: string } {
  try {
    const value = JSON.parse(text) as Json;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? { ok: true, value } : { ok: false, problem: "Arguments are an object: { … }." };
  } catch (error) {
    return { ok: false, problem: `This is no JSON yet: ${error instanceof Error ? error.message : "?"}` };
  }
}

function Countdown({ expiresAt, clockAhead }: { expiresAt: string; clockAhead: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const left = Math.max(0, Math.round((Date.parse(expiresAt) + clockAhead - now) / 1_000));
  return (
    <p class="quiet" role="timer">
      Without an answer it is refused in {Math.floor(left / 60)}:{String(left % 60).padStart(2, "0")}.
    </p>
  );
}
