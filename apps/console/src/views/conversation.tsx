import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import type { Outgoing } from "../app/outbox.ts";
import { previousCall } from "../session/difference.ts";
import { schemaOf, type Item } from "../session/state.ts";
import { CallView } from "./call.tsx";
import { Markdown } from "./markdown.tsx";
import { memo } from "./memo.ts";
import { Readable, Visible } from "./text.tsx";

interface Props {
  state: AppState;
  controller: Controller;
  decide: Controller["decide"];
}

/** How near to its end a log counts as read to the end, in pixels. */
const NEAR = 48;

/** All that was said and done, and what is on its way. */
export function Conversation({ state, controller, decide }: Props) {
  const { session, outbox, deciding, link } = state;
  const log = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  useLayoutEffect(() => {
    if (atEnd && log.current) log.current.scrollTop = log.current.scrollHeight;
  });
  const onScroll = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = log.current ?? { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };
    setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR);
  };
  const isEmpty = session.items.length === 0 && outbox.length === 0;
  return (
    <div class="conversation">
      <div class="log" ref={log} role="log" aria-live="off" aria-label="Conversation" tabIndex={0} onScroll={onScroll}>
        {session.fromSnapshot && <p class="notice">What came before is not kept in detail any more.</p>}
        {isEmpty && link.kind === "ready" && <Welcome isDemo={session.ready?.provider === "demo"} />}
        {session.items.map((item) => {
          if (item.kind !== "call") return <ItemView key={item.key} item={item} />;
          const call = session.calls.get(item.callId);
          if (call === undefined) return null;
          return (
            <CallView
              key={item.key}
              call={call}
              previous={call.phase === "asking" ? previousCall(session, call) : undefined}
              schema={call.phase === "asking" ? schemaOf(session, call) : undefined}
              deciding={deciding.get(item.callId)}
              clockAhead={session.clockAhead}
              canDecide={link.kind === "ready"}
              decide={decide}
            />
          );
        })}
        {session.thinking && <p class="thinking">Thinking</p>}
        {outbox.map((outgoing) => (
          <OutgoingView key={outgoing.id} outgoing={outgoing} controller={controller} />
        ))}
      </div>
      {!atEnd && (
        <button type="button" class="to-end" onClick={() => setAtEnd(true)}>
          To the end
        </button>
      )}
    </div>
  );
}

function Welcome({ isDemo }: { isDemo: boolean }) {
  return (
    <div class="welcome">
      <h2>Say something</h2>
      <p>The model answers, and asks before it uses a tool.</p>
      {isDemo && (
        <p>
          This is the demo: scripted replies, no network. Try <code>run `uname -a`</code>,{" "}
          <code>write notes.txt: hello</code> or <code>build a hello project</code>.
        </p>
      )}
    </div>
  );
}

const ItemView = memo(function ItemView({ item }: { item: Exclude<Item, { kind: "call" }> }) {
  switch (item.kind) {
    case "user":
      return (
        <article class="said user" dir="auto">
          <h2 class="hidden">You</h2>
          <p class="plain">
            <Readable text={item.text} />
          </p>
          {item.attachments.length > 0 && (
            <p class="quiet">
              With {item.attachments.length} attached: {item.attachments.map((each) => each.mimeType).join(", ")}
            </p>
          )}
        </article>
      );
    case "answer":
      return (
        <article class="said agent" dir="auto" aria-busy={item.open}>
          <h2 class="hidden">Agent</h2>
          {item.reasoning !== "" && (
            <details>
              <summary>Reasoning</summary>
              <Markdown text={item.reasoning} isOpen={item.open} />
            </details>
          )}
          <Markdown text={item.text} isOpen={item.open} />
        </article>
      );
    case "notice":
      return (
        <p class="notice">
          <Readable text={item.text} />
        </p>
      );
    case "failure":
      return (
        <div class="problem boxed">
          <p>
            <Readable text={item.error.message} /> <code>{item.error.code}</code>
          </p>
          {item.error.hint !== undefined && (
            <p>
              <Readable text={item.error.hint} />
            </p>
          )}
        </div>
      );
    case "end":
      return item.completed.stopReason === "end_turn" ? null : <p class="notice">{ended(item.completed.stopReason)}</p>;
  }
});

function ended(reason: string): string {
  const reasons: Record<string, string> = {
    max_tokens: "The answer reached the limit of its length.",
    stop_sequence: "The model came to a stop sequence.",
    refusal: "The model refused.",
    safety: "The provider's safety filter stopped the answer.",
    step_limit: "The turn took as many steps as are allowed.",
    turn_limit: "The turn reached a limit.",
    cancelled: "Stopped.",
    error: "The turn ended with an error.",
    interrupted: "The server was lost, and the turn could not go on.",
  };
  return reasons[reason] ?? `The turn ended: ${reason}.`;
}

function OutgoingView({ outgoing, controller }: { outgoing: Outgoing; controller: Controller }) {
  const states = { waiting: "waits for a connection", sent: "sending", accepted: "queued", refused: "not accepted" };
  return (
    <article class="said user outgoing" dir="auto">
      <h2 class="hidden">You, {states[outgoing.state]}</h2>
      <p class="plain">
        <Readable text={outgoing.text} />
      </p>
      <p class={outgoing.state === "refused" ? "problem" : "quiet"}>
        {states[outgoing.state]}
        {outgoing.problem !== undefined && (
          <>
            : <Visible text={outgoing.problem} />
          </>
        )}
      </p>
      {outgoing.state === "refused" && (
        <div class="actions">
          <button type="button" class="small" onClick={() => controller.resend(outgoing.id)}>
            Send again
          </button>
          <button type="button" class="small" onClick={() => controller.discard(outgoing.id)}>
            Discard
          </button>
        </div>
      )}
    </article>
  );
}
