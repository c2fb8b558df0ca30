// The card by which a human decides about a call.

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Annotations, Json } from "../contract.ts";
import type { Deciding, Verdict } from "../app/controller.ts";
import { argsText, type Call, type Question } from "../session/state.ts";
import { Always, Deny, Edit, ForSession } from "./approval_forms.tsx";
import { Allow } from "./allow.tsx";
import { Proposal } from "./proposal.tsx";
import { Visible } from "./text.tsx";

interface Props {
  call: Call;
  question: Question;
  /** The last call of the same tool before this one. */
  previous: Call | undefined;
  /** What the tool takes. */
  schema: Json | undefined;
  deciding: Deciding | undefined;
  /** How far this machine's clock is ahead of the server's, in milliseconds. */
  clockAhead: number;
  canDecide: boolean;
  decide(callId: string, verdict: Verdict): void;
}

type Mode = "choose" | "edit" | "deny" | "always" | "session";

/** Arguments of more bytes than this must be looked at in full before they can be approved. */
const LONG_BYTES = 4_096;
/** How long a card is there before it can be approved, so that no click or key that was meant for something else does. */
const ARM_MS = 700;

export function ApprovalCard({ call, question, previous, schema, deciding, clockAhead, canDecide, decide }: Props) {
  const [mode, setMode] = useState<Mode>("choose");
  const bytes = bytesOf(argsText(call));
  const [expanded, setExpanded] = useState(false);
  const isSeen = expanded || bytes <= LONG_BYTES;
  const isArmed = useArmed(ARM_MS);
  const card = useRef<HTMLElement>(null);
  const id = useId();
  // What was opened by a button is in view to its end.
  useLayoutEffect(() => {
    if (mode !== "choose") card.current?.querySelector(".actions")?.scrollIntoView({ block: "nearest" });
  }, [mode]);
  const give = (verdict: Verdict): void => {
    // The buttons go away; who used them by keyboard stays here.
    card.current?.closest<HTMLElement>("article")?.focus();
    decide(call.callId, verdict);
  };
  const disabled = !canDecide || deciding?.state === "sending";
  const mayAllow = !disabled && isArmed && isSeen;
  const isWhole = question.sessionScopes.some((scope) => scope.kind === "tool");
  return (
    <section class="approval" ref={card} tabIndex={-1} aria-labelledby={`${id}-title`} data-call={call.callId}>
      <header>
        <h2 id={`${id}-title`}>
          May{" "}
          <code>
            <Visible text={call.name} />
          </code>{" "}
          of{" "}
          <code>
            <Visible text={call.server ?? "an unknown server"} />
          </code>{" "}
          run?
          {question.total > 1 && (
            <span class="quiet">
              {" "}
              {question.position} of {question.total}
            </span>
          )}
        </h2>
        <span class="badge">waits for you</span>
      </header>
      <p class="why">
        It asks because <Visible text={question.why} />.
        <Hints annotations={question.annotations} />
      </p>
      <Proposal
        call={call}
        previous={previous}
        bytes={bytes}
        fingerprint={question.fingerprint}
        isSeen={isSeen}
        expand={() => setExpanded(true)}
      />
      {mode === "edit" ? (
        <Edit json={argsText(call)} schema={schema} disabled={!mayAllow} give={give} back={() => setMode("choose")} />
      ) : mode === "deny" ? (
        <Deny disabled={disabled} give={give} back={() => setMode("choose")} />
      ) : mode === "always" && question.alwaysRule !== undefined ? (
        <Always rule={question.alwaysRule} disabled={!mayAllow} give={give} back={() => setMode("choose")} />
      ) : mode === "session" ? (
        <ForSession scopes={question.sessionScopes} disabled={!mayAllow} give={give} back={() => setMode("choose")} />
      ) : (
        <div class="actions">
          <button type="button" class="danger" data-default disabled={disabled} onClick={() => setMode("deny")}>
            Deny
          </button>
          <button type="button" disabled={disabled} onClick={() => setMode("edit")}>
            Edit arguments
          </button>
          <span class="space" />
          {question.alwaysRule !== undefined && (
            <button type="button" disabled={disabled} onClick={() => setMode("always")}>
              Approve always
            </button>
          )}
          <Allow
            disabled={!mayAllow || question.sessionScopes.length === 0}
            act={() => (isWhole ? give({ approved: true, scope: "session" }) : setMode("session"))}
          >
            Approve for this session
          </Allow>
          <Allow disabled={!mayAllow} primary act={() => give({ approved: true })}>
            Approve once
          </Allow>
        </div>
      )}
      {!isSeen && <p class="problem">Show all of the arguments before you approve them.</p>}
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

/** Whether the card has been there for so long. */
function useArmed(after: number): boolean {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setArmed(true), after);
    return () => clearTimeout(timer);
  }, [after]);
  return armed;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function Countdown({ expiresAt, clockAhead }: { expiresAt: string; clockAhead: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const left = Math.max(0, Math.round((Date.parse(expiresAt) + clockAhead - now) / 1_000));
  return (
    <p class="quiet countdown" role="timer" data-soon={left < 30}>
      Without an answer it is refused in {Math.floor(left / 60)}:{String(left % 60).padStart(2, "0")}.
    </p>
  );
}
