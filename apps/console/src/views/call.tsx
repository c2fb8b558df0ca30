import type { Json } from "../contract.ts";
import { argsText, type Call, type Phase } from "../session/state.ts";
import type { Deciding, Verdict } from "../app/controller.ts";
import { ApprovalCard } from "./approval.tsx";
import { memo } from "./memo.ts";
import { Output } from "./output.tsx";
import { Arguments, Visible } from "./text.tsx";

interface Props {
  call: Call;
  previous: Call | undefined;
  schema: Json | undefined;
  deciding: Deciding | undefined;
  clockAhead: number;
  canDecide: boolean;
  decide(callId: string, verdict: Verdict): void;
}

const PHASES: Record<Phase, string> = {
  queued: "waits for its turn",
  asking: "waits for you",
  allowed: "allowed",
  refused: "refused",
  running: "running",
  succeeded: "done",
  failed: "failed",
  unsettled: "not settled",
};

/** A tool call from its proposal to its result. */
export const CallView = memo(function CallView({ call, ...approval }: Props) {
  const { resolution, progress, output, error, question } = call;
  const isAsking = call.phase === "asking" && question !== undefined;
  return (
    <article class="call" data-phase={call.phase} tabIndex={-1}>
      {!isAsking && (
        <header>
          <h2>
            <Visible text={call.name} />
          </h2>
          <span class="quiet">
            <Visible text={call.server ?? "no such server"} />
          </span>
          <span class="badge">{PHASES[call.phase]}</span>
        </header>
      )}
      {isAsking ? (
        // Asked anew about something else, it is another card.
        <ApprovalCard key={question.digest} call={call} question={question} {...approval} />
      ) : (
        <details>
          <summary>Arguments</summary>
          <Arguments json={argsText(call)} />
          {resolution?.args !== undefined && (
            <>
              <p>Edited; these were approved instead:</p>
              <Arguments json={resolution.argsText ?? JSON.stringify(resolution.args)} />
            </>
          )}
        </details>
      )}
      {resolution && !isAsking && <Resolved resolution={resolution} />}
      {!resolution && call.why !== undefined && !isAsking && (
        <p class="quiet">
          Why: <Visible text={call.why} />.
        </p>
      )}
      {call.phase === "running" && progress && (
        <p class="quiet">
          {progress.total ? <progress value={progress.progress} max={progress.total} aria-label="Progress" /> : null}{" "}
          <Visible text={progress.message ?? ""} />
        </p>
      )}
      {output && (
        <details open>
          <summary>Output</summary>
          <Output content={output} />
        </details>
      )}
      {error && (
        <p class="problem">
          <Visible text={error.message} /> <code>{error.code}</code>
        </p>
      )}
    </article>
  );
});

function Resolved({ resolution }: { resolution: NonNullable<Call["resolution"]> }) {
  const { decision, by, scope, reason } = resolution;
  const words: Record<string, string> = {
    approved: { once: "Approved once", session: "Approved for this session", always: "Approved always" }[scope],
    denied: "Denied",
    expired: "Refused: nobody answered in time",
    cancelled: "Cancelled with its turn",
    void: "Void: what it was about has changed",
  };
  const whole = words[decision] ?? decision;
  return (
    <p class="quiet">
      {whole}
      {by !== null && (
        <>
          {" "}
          by <Visible text={by} />
        </>
      )}
      {resolution.args !== undefined && ", with edited arguments"}
      {reason !== undefined && (
        <>
          : <Visible text={reason} />
        </>
      )}
      .
    </p>
  );
}
