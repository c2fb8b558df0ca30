import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { AppState, Controller } from "../app/controller.ts";
import type { SessionEntry } from "../contract.ts";
import { useAsked, words } from "./asked.ts";
import { ConfirmButton } from "./confirm_button.tsx";
import { Visible } from "./text.tsx";
import { Unanswered } from "./unanswered.tsx";

const TIME = new Intl.DateTimeFormat("en", { timeStyle: "short" });
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "medium" });

/** The codes of refusals that say that the server does not know the user. */
const TOKEN_CODES: ReadonlySet<string> = new Set(["unauthenticated", "missing_key"]);

/** The sessions of whoever is connected, as the server knows them. */
export function SessionsPanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { sessionId, session, link } = state;
  const [changes, setChanges] = useState(0);
  const [problem, setProblem] = useState<string | undefined>();
  const reasons = [sessionId, session.openTurns.size, session.expired, changes];
  // A user who is refused may have to make room first. One whose token is refused sees no sessions.
  const isKnown = link.kind === "ready" || (link.kind === "refused" && !TOKEN_CODES.has(link.code ?? ""));
  const list = useAsked(isKnown, () => controller.sessions(), reasons);
  const change = (done: Promise<unknown>): void => {
    setProblem(undefined);
    done.catch((error: unknown) => setProblem(words(error))).finally(() => setChanges((count) => count + 1));
  };
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
      <p class="quiet">Yours, on this server. A session goes on without anybody looking at it.</p>
      {problem !== undefined && (
        <p class="problem" role="alert">
          <Visible text={problem} />
        </p>
      )}
      <Unanswered asked={list} />
      {list.kind === "there" && (
        <ul class="list">
          {list.value.sessions.map((entry) => (
            <SessionView
              key={entry.sessionId}
              entry={entry}
              isCurrent={entry.sessionId === sessionId}
              canRename={link.kind === "ready"}
              open={() => entry.sessionId !== sessionId && controller.open(entry.sessionId)}
              rename={(title) => change(controller.ask("session:rename", { sessionId: entry.sessionId, title }))}
              end={() => change(controller.endOther(entry.sessionId))}
              remove={() => change(controller.deleteSession(entry.sessionId))}
            />
          ))}
        </ul>
      )}
    </>
  );
}

interface SessionProps {
  entry: SessionEntry;
  isCurrent: boolean;
  canRename: boolean;
  open(): void;
  end(): void;
  rename(title: string): void;
  remove(): void;
}

function SessionView({ entry, isCurrent, canRename, open, end, rename, remove }: SessionProps) {
  const [renaming, setRenaming] = useState(false);
  const name = entry.title ?? "Nothing said yet";
  if (renaming) {
    return (
      <li>
        <Rename
          title={entry.title ?? ""}
          done={(title) => {
            setRenaming(false);
            if (title !== undefined) rename(title);
          }}
        />
      </li>
    );
  }
  return (
    <li aria-current={isCurrent ? "true" : undefined}>
      <button type="button" class="link" onClick={open}>
        <span class="title">
          <Visible text={name} />
        </span>
        <span class="quiet">
          {used(entry.lastActiveAt)}
          {entry.busy ? ", at work" : entry.hasSandbox && ", with a sandbox"}
        </span>
      </button>
      <button type="button" class="small" disabled={!canRename} onClick={() => setRenaming(true)}>
        Rename<span class="hidden"> {name}</span>
      </button>
      {!isCurrent && entry.hasSandbox && (
        <ConfirmButton sure="Remove its sandbox?" disabled={false} act={end} small>
          End<span class="hidden"> {name}</span>
        </ConfirmButton>
      )}
      <ConfirmButton sure="Delete for good?" disabled={false} act={remove} small>
        Delete<span class="hidden"> {name}</span>
      </ConfirmButton>
    </li>
  );
}

/** When it was last used: the time of today, or the day. */
function used(at: string): string {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? TIME.format(date) : DAY.format(date);
}

/** A title to edit; Escape leaves it as it was. */
function Rename({ title, done }: { title: string; done(title: string | undefined): void }) {
  const [text, setText] = useState(title);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  useLayoutEffect(() => field.current?.select(), []);
  return (
    <form
      class="rename"
      onSubmit={(event) => {
        event.preventDefault();
        done(text.trim() === "" ? undefined : text.trim());
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") done(undefined);
      }}
    >
      <label class="hidden" for={id}>
        Title of the session
      </label>
      <input id={id} ref={field} maxLength={120} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="small">
        Save
      </button>
      <button type="button" class="small" onClick={() => done(undefined)}>
        Back
      </button>
    </form>
  );
}
