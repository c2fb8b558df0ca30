// What is not as it should be, above the conversation, and what can be done about it.

import { useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import type { BudgetAsked } from "../contract.ts";
import { Stages } from "./stages.tsx";
import { Readable } from "./text.tsx";

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function Notices({ state, controller }: { state: AppState; controller: Controller }) {
  const { link, readiness, problem, session } = state;
  return (
    <div class="notices">
      {link.kind === "starting" && session.progress.size > 0 && (
        <div class="banner">
          <Stages stages={[...session.progress.values()]} />
        </div>
      )}
      {link.kind === "lost" && (
        <div class="banner warning">
          <p>
            Reconnecting. Nothing is lost: the session goes on, and this page catches up.{" "}
            <span class="quiet">
              <Readable text={link.problem} />
            </span>
          </p>
          <button type="button" class="small" onClick={() => controller.retry()}>
            Try now
          </button>
        </div>
      )}
      {link.kind === "ready" && session.tokenOver !== undefined && (
        <div class="banner warning">
          <p>Your token is over. Give a fresh one, and nothing is interrupted.</p>
          <TokenForm give={(token) => void controller.refreshToken(token)} />
        </div>
      )}
      {link.kind === "ready" && session.budget !== undefined && (
        <Budget asked={session.budget} controller={controller} />
      )}
      {readiness?.kind === "degraded" && (
        <div class="banner warning">
          <p>The server cannot serve sessions at the moment:</p>
          <ul>
            {readiness.reasons.map((reason) => (
              <li key={reason.code}>
                <Readable text={reason.message} /> {reason.hint !== undefined && <Readable text={reason.hint} />}{" "}
                <code>{reason.code}</code>
              </li>
            ))}
          </ul>
        </div>
      )}
      {link.kind === "refused" && <Refused link={link} controller={controller} />}
      {problem !== undefined && (
        <div class="banner warning">
          <p>
            <Readable text={problem} />
          </p>
          <button type="button" class="small" onClick={() => controller.dismissProblem()}>
            Dismiss
          </button>
        </div>
      )}
    </div>
  );
}

function Budget({ asked, controller }: { asked: BudgetAsked; controller: Controller }) {
  const whose = asked.of === "session" ? "this session" : "your day";
  const [taken, limit] =
    asked.measure === "wallMs" ? [asked.taken / 1000, asked.limit / 1000] : [asked.taken, asked.limit];
  const what = { tokens: "tokens", toolCalls: "tool calls", wallMs: "seconds of work" }[asked.measure];
  return (
    <div class="banner warning" role="alert">
      <p>
        This turn would cost more than {whose} has left: {NUMBER.format(taken)} of {NUMBER.format(limit)} {what} are
        spent or set aside. It waits for your word, and ends without one.
      </p>
      <div class="actions">
        <button type="button" onClick={() => void controller.answerBudget(false, asked.question)}>
          End the turn
        </button>
        <button type="button" onClick={() => void controller.answerBudget(true, asked.question)}>
          Let it go on
        </button>
      </div>
    </div>
  );
}

function Refused({
  link,
  controller,
}: {
  link: Extract<AppState["link"], { kind: "refused" }>;
  controller: Controller;
}) {
  return (
    <div class="banner warning">
      <p>
        The server refused: <Readable text={link.reason} /> {link.code !== undefined && <code>{link.code}</code>}
        {link.returns && (
          <span class="quiet"> This page tries again by itself. The panel of sessions lists yours.</span>
        )}
      </p>
      {link.code === "unauthenticated" ? (
        <TokenForm give={(token) => controller.useToken(token)} />
      ) : (
        <div class="actions">
          <button type="button" onClick={() => controller.retry()}>
            Try again
          </button>
          <button type="button" onClick={() => controller.open(undefined)}>
            New session
          </button>
        </div>
      )}
    </div>
  );
}

function TokenForm({ give }: { give(token: string): void }) {
  const [token, setToken] = useState("");
  return (
    <form
      class="actions"
      onSubmit={(event) => {
        event.preventDefault();
        give(token);
      }}
    >
      <label for="token">Token</label>
      <input
        id="token"
        type="password"
        autocomplete="off"
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      <button type="submit" class="primary" disabled={token.trim() === ""}>
        Connect
      </button>
    </form>
  );
}
